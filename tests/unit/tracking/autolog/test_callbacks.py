"""What libraries call while they train. Each needs its library: see `make test`."""

import os
from typing import Any

import pytest

from trivet.core.errors import Invalid, Unsupported
from trivet.tracking.service import TrackingService

os.environ.setdefault("KERAS_BACKEND", "torch")


def values(tracking: TrackingService, run: str, name: str) -> list[tuple[int, float]]:
    points = tracking.metric(run, name)
    return list(zip(points.steps, points.values, strict=True))


def test_boosters_report_through_callbacks(
    tracking: TrackingService, rows: tuple[Any, Any]
) -> None:
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")
    with tracking.begin(system=False) as run:
        data = lightgbm.Dataset(*rows)
        given = {"objective": "binary", "verbose": -1}
        back = run.callback("lightgbm")
        lightgbm.train(given, data, 3, valid_sets=[data], callbacks=[back])
        matrix = xgboost.DMatrix(*rows)
        back = run.callback("xgboost")
        xgboost.train({}, matrix, 2, evals=[(matrix, "x")], callbacks=[back], verbose_eval=False)
    assert len(values(tracking, run.id, "training/binary_logloss")) == 3
    assert len(values(tracking, run.id, "x/rmse")) == 2


@pytest.mark.parametrize("library", ["keras", "lightning", "transformers"])
def test_a_library_that_is_not_there_is_named(
    tracking: TrackingService, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    for name in (library, "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with tracking.begin(system=False) as run, pytest.raises(Unsupported, match=library):
        run.callback(library)


def test_torch_reports_gradients_and_rates(tracking: TrackingService) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here")
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with tracking.begin(system=False) as run:
        with run.callback("torch").watch(model, optimizer, every=2):
            for _ in range(5):
                optimizer.zero_grad()
                model(torch.ones(1, 3)).sum().backward()
                optimizer.step()
        optimizer.step()  # nobody watches any more
        run.image("weights", model.weight)
        with pytest.raises(Invalid, match=r"expected a torch\.nn\.Module"):
            run.callback("torch").watch(7)
        with pytest.raises(Invalid, match="every is 0"):
            run.callback("torch").watch(model, every=0)
    assert values(tracking, run.id, "learning_rate") == [(0, 0.5), (2, 0.5), (4, 0.5)]
    assert values(tracking, run.id, "gradients/norm") == [(0, 2.0), (2, 2.0), (4, 2.0)]
    assert tracking.reported.get(run.id).parameters["model/parameters"] == "4"


def test_keras_reports_epochs(tracking: TrackingService) -> None:
    keras = pytest.importorskip("keras", reason="Keras is not installed here")
    import numpy as np

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    with tracking.begin(system=False) as run:
        back = run.callback("keras")
        model.fit(np.ones((8, 2)), np.ones(8), epochs=3, verbose=0, callbacks=[back])
    assert [step for step, _ in values(tracking, run.id, "loss")] == [0, 1, 2]
    assert values(tracking, run.id, "learning_rate")[0][1] == pytest.approx(0.1)
    assert tracking.reported.get(run.id).parameters["optimizer"] == "SGD"


def test_transformers_reports_what_its_trainer_logs(tracking: TrackingService) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed here")
    torch = pytest.importorskip("torch")
    pytest.importorskip("accelerate")

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, place: int) -> dict[str, Any]:
            return {"input_ids": torch.arange(4), "labels": torch.tensor(place % 2)}

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.BertConfig(**sizes, intermediate_size=8, vocab_size=9)
    arguments = transformers.TrainingArguments(
        "out", max_steps=2, logging_steps=1, report_to=[], use_cpu=True, save_strategy="no"
    )
    with tracking.begin(system=False) as run:
        transformers.Trainer(
            model=transformers.BertForSequenceClassification(config),
            args=arguments,
            train_dataset=Rows(),
            callbacks=[run.callback("transformers")],
        ).train()
    assert [step for step, _ in values(tracking, run.id, "loss")] == [1, 2]
    parameters = tracking.reported.get(run.id).parameters
    assert (parameters["max_steps"], parameters["model/class"]) == (
        "2",
        "BertForSequenceClassification",
    )


@pytest.mark.filterwarnings("ignore")  # the library's own
def test_lightning_reports_through_its_logger(tracking: TrackingService) -> None:
    lightning = pytest.importorskip("pytorch_lightning", reason="Lightning is not installed here")
    torch = pytest.importorskip("torch")

    class Model(lightning.LightningModule):
        def __init__(self, rate: float = 0.5) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            loss = self.layer(batch[0]).pow(2).mean()
            self.log("train/loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

    rows = torch.utils.data.TensorDataset(torch.ones(8, 2))
    with tracking.begin(system=False) as run:
        lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=run.callback("lightning"),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
        ).fit(Model(), torch.utils.data.DataLoader(rows, batch_size=4))
    assert [step for step, _ in values(tracking, run.id, "train/loss")] == [0, 1]
    assert tracking.reported.get(run.id).parameters["rate"] == "0.5"
