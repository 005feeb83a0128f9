"""Images, tables and figures, which the client turns into files by itself."""

import json

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from judging import check, fresh, judge, same
from mlflow.tracking import MlflowClient
from PIL import Image

client = MlflowClient()


def begin() -> None:
    mlflow.set_experiment(fresh("media"))


def paths(run: str, folder: str = "") -> list[str]:
    return [each.path for each in client.list_artifacts(run, folder)]


@check()
def an_image_is_kept() -> None:
    begin()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    with mlflow.start_run() as run:
        mlflow.log_image(pixels, "a.png")
        mlflow.log_image(Image.fromarray(pixels), "deep/b.png")
        mlflow.log_image(np.linspace(0, 1, 16).reshape(4, 4), "grey.png")
    same(paths(run.info.run_id), ["a.png", "deep", "grey.png"])
    for name in ("a.png", "deep/b.png"):
        image = mlflow.artifacts.load_image(f"{run.info.artifact_uri}/{name}")
        same(np.asarray(image.convert("RGB")).tolist(), pixels.tolist())


@check()
def images_of_steps_are_kept() -> None:
    begin()
    with mlflow.start_run() as run:
        for step in range(3):
            mlflow.log_image(np.full((8, 8, 3), step * 50, np.uint8), key="dogs", step=step)
        mlflow.flush_artifact_async_logging()
    names = paths(run.info.run_id, "images")
    same(len([name for name in names if "step" in name and name.endswith(".png")]), 3)
    same(len([name for name in names if "compressed" in name]), 3)
    assert "mlflow.loggedImages" in client.get_run(run.info.run_id).data.tags


@check()
def a_table_grows_and_is_read_again() -> None:
    begin()
    with mlflow.start_run() as run:
        mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "t.json")
        mlflow.log_table(pd.DataFrame({"q": ["ü"], "n": [3]}), "t.json")
    table = mlflow.load_table("t.json", [run.info.run_id], ["run_id"])
    same((list(table["q"]), list(table["n"])), (["a", "b", "ü"], [1, 2, 3]))
    same(set(table["run_id"]), {run.info.run_id})
    noted = json.loads(client.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    same(noted, [{"path": "t.json", "type": "table"}])


@check()
def tables_of_several_runs_are_read_together() -> None:
    begin()
    for number in range(3):
        with mlflow.start_run():
            mlflow.log_table({"n": [number]}, "t.json")
    same(sorted(mlflow.load_table("t.json")["n"]), [0, 1, 2])


@check()
def a_figure_is_kept() -> None:
    begin()
    figure, axes = plt.subplots()
    axes.plot([0, 1], [2, 3])
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "plots/a.png")
        mlflow.log_figure(figure, "plots/a.svg")
    plt.close(figure)
    same(paths(run.info.run_id, "plots"), ["plots/a.png", "plots/a.svg"])
    assert mlflow.artifacts.load_image(f"{run.info.artifact_uri}/plots/a.png").size[0] > 100
    assert "<svg" in mlflow.artifacts.load_text(f"{run.info.artifact_uri}/plots/a.svg")


if __name__ == "__main__":
    judge()
