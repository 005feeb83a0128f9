"""PyTorch: a module there and back, its state, and autologging of a loop of the user's own."""

import mlflow
import numpy as np
import torch
from judging import check, fresh, judge, same


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


@check()
def a_module_goes_there_and_back() -> None:
    mlflow.set_experiment(fresh("torch"))
    model = network()
    example = np.ones((2, 4), dtype=np.float32)
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            model, name="net", input_example=example, serialization_format="pickle"
        )
    loaded = mlflow.pytorch.load_model(info.model_uri)
    assert torch.equal(loaded(torch.ones(2, 4)), model(torch.ones(2, 4)))
    generic = mlflow.pyfunc.load_model(info.model_uri)
    assert np.allclose(generic.predict(example), model(torch.ones(2, 4)).detach().numpy())


@check()
def a_state_goes_there_and_back() -> None:
    mlflow.set_experiment(fresh("state"))
    model = network()
    with mlflow.start_run() as run:
        mlflow.pytorch.log_state_dict(model.state_dict(), "state")
    loaded = mlflow.pytorch.load_state_dict(f"runs:/{run.info.run_id}/state")
    same(set(loaded), set(model.state_dict()))
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@check()
def a_training_loop_is_logged() -> None:
    mlflow.set_experiment(fresh("loop"))
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    inputs, targets = torch.randn(64, 4), torch.randint(0, 2, (64,))
    with mlflow.start_run() as run:
        mlflow.log_params({"lr": 0.01, "epochs": 10})
        for epoch in range(10):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimiser.step()
            mlflow.log_metric("loss", loss.item(), step=epoch)
    points = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    same([point.step for point in points], list(range(10)))
    assert points[-1].value < points[0].value


@check()
def a_summary_writer_is_logged() -> None:
    mlflow.set_experiment(fresh("writer"))
    mlflow.pytorch.autolog()
    try:
        with mlflow.start_run() as run:
            mlflow.log_metric("seen", 1)
    finally:
        mlflow.pytorch.autolog(disable=True)
    same(mlflow.get_run(run.info.run_id).data.metrics, {"seen": 1.0})


if __name__ == "__main__":
    judge()
