"""Artifacts: files go up, are listed, come down and are deleted, whatever they are called."""

import hashlib
import os
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
from judging import check, fresh, judge, same
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

client = MlflowClient()


def make() -> str:
    return client.create_run(client.create_experiment(fresh("artifacts"))).info.run_id


def folder() -> Path:
    return Path(tempfile.mkdtemp(dir=Path.cwd()))


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def listed(run: str, path: str | None = None) -> list[tuple[str, bool, int | None]]:
    return [(each.path, each.is_dir, each.file_size) for each in client.list_artifacts(run, path)]


def down(run: str, path: str) -> Path:
    return Path(
        mlflow.artifacts.download_artifacts(run_id=run, artifact_path=path, dst_path=str(folder()))
    )


def fails(call: object) -> str:
    try:
        call()
    except (MlflowException, OSError) as error:
        return str(error)
    raise AssertionError("nothing failed")


@check()
def a_file_goes_up_and_comes_down() -> None:
    run = make()
    content = bytes(range(256)) * 10
    client.log_artifact(run, write(folder() / "a.bin", content))
    client.log_artifact(run, write(folder() / "b.txt", b"b"), "some/folder")
    client.log_artifact(run, write(folder() / "empty", b""))
    found = [(path, is_folder, size or None) for path, is_folder, size in listed(run)]
    same(found, [("a.bin", False, 2560), ("empty", False, None), ("some", True, None)])
    same(listed(run, "some"), [("some/folder", True, None)])
    same(listed(run, "some/folder"), [("some/folder/b.txt", False, 1)])
    same(down(run, "a.bin").read_bytes(), content)
    same(down(run, "some/folder/b.txt").read_bytes(), b"b")
    same(down(run, "empty").read_bytes(), b"")


@check()
def what_is_not_there_is_an_empty_list() -> None:
    run = make()
    same(listed(run), [])
    same(listed(run, "nothing/here"), [])
    client.log_text(run, "x", "file.txt")
    same(listed(run, "file.txt"), [])


@check()
def what_is_not_there_does_not_come_down() -> None:
    run = make()
    client.log_text(run, "x", "there.txt")
    fails(lambda: down(run, "nothing.txt"))
    fails(lambda: mlflow.artifacts.load_text(f"runs:/{run}/nothing.txt"))


@check()
def a_folder_goes_up_and_comes_down() -> None:
    run = make()
    source = folder()
    contents = {
        f"{part}/{n}.txt": f"{part}{n}".encode() for part in ("a", "b/c", "d e") for n in range(3)
    }
    for name, content in contents.items():
        write(source / name, content)
    client.log_artifacts(run, str(source), "all")
    for path in ("", "all"):
        top = down(run, path)
        inside = top if path else top / "all"
        found = {
            str(each.relative_to(inside)): each.read_bytes()
            for each in inside.rglob("*")
            if each.is_file()
        }
        same(found, contents)
    same([path for path, _, _ in listed(run, "all")], ["all/a", "all/b", "all/d e"])


@check()
def a_second_time_replaces_the_first() -> None:
    run = make()
    client.log_text(run, "one", "a.txt")
    client.log_text(run, "second", "a.txt")
    same(listed(run), [("a.txt", False, 6)])
    same(down(run, "a.txt").read_bytes(), b"second")


@check()
def names_may_be_unusual() -> None:
    run = make()
    names = (
        *(
            "with space.txt",
            "ünïcode ✓.txt",
            "日本語.txt",
            "a+b&c=d.txt",
            "100%.txt",
            "semi;colon,comma.txt",
        ),
        *(
            "(brackets)[x]{y}.txt",
            "quote'd.txt",
            "tilde~.txt",
            "at@.txt",
            "dollar$.txt",
            ".hidden",
            "no_ending",
        ),
        *("a" * 200, "bang!.txt", "dots...txt", "UPPER.TXT", "equals=.txt"),
    )
    wrong = {}
    for name in names:
        try:
            client.log_artifact(run, write(folder() / name, name.encode()), "odd")
            same(down(run, f"odd/{name}").read_bytes(), name.encode())
        except Exception as error:
            wrong[name] = repr(error)[:200]
    same(wrong, {})
    same({Path(path).name for path, _, _ in listed(run, "odd")}, set(names))


@check()
def a_large_file_comes_back_the_same() -> None:
    run = make()
    path = folder() / "large.bin"
    source = random.Random(1)
    wanted = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(100):
            block = source.randbytes(1 << 20)
            wanted.update(block)
            file.write(block)
    client.log_artifact(run, path)
    path.unlink()
    same(listed(run), [("large.bin", False, 100 << 20)])
    found = hashlib.sha256()
    with down(run, "large.bin").open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    same(found.hexdigest(), wanted.hexdigest())


@check()
def many_small_files_go_up_at_once() -> None:
    run = make()
    source = folder()
    contents = {f"{n % 7}/{n}.txt": os.urandom(n % 50) for n in range(300)}
    for name, content in contents.items():
        write(source / name, content)
    client.log_artifacts(run, str(source))
    top = down(run, "")
    found = {
        str(each.relative_to(top)): each.read_bytes() for each in top.rglob("*") if each.is_file()
    }
    same(found, contents)


@check()
def several_runs_write_at_once() -> None:
    runs = [make() for _ in range(4)]
    source = folder()
    for n in range(20):
        write(source / f"{n}.txt", b"x" * n)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run: client.log_artifacts(run, str(source)), runs))
    same([len(listed(run)) for run in runs], [20] * 4)


@check()
def text_and_dicts_are_kept() -> None:
    mlflow.set_experiment(fresh("text"))
    with mlflow.start_run() as run:
        mlflow.log_text("ünïcode\nlines", "deep/er/a.txt")
        mlflow.log_dict({"a": [1, 2.5, None], "b": {"c": "✓"}}, "a.json")
        mlflow.log_dict({"x": [1, 2]}, "a.yaml")
        mlflow.log_text("<b>page</b>", "page.html")
    place = run.info.artifact_uri
    same(mlflow.artifacts.load_text(f"{place}/deep/er/a.txt"), "ünïcode\nlines")
    same(
        mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/a.json"),
        {"a": [1, 2.5, None], "b": {"c": "✓"}},
    )
    same(down(run.info.run_id, "a.yaml").read_text().split(), ["x:", "-", "1", "-", "2"])
    same(
        [path for path, _, _ in listed(run.info.run_id)], ["a.json", "a.yaml", "deep", "page.html"]
    )


@check()
def addresses_of_all_kinds_lead_there() -> None:
    mlflow.set_experiment(fresh("addresses"))
    with mlflow.start_run() as run:
        mlflow.log_text("x", "f/a.txt")
        same(mlflow.get_artifact_uri("f/a.txt"), f"{run.info.artifact_uri}/f/a.txt")
    for place in (f"{run.info.artifact_uri}/f/a.txt", f"runs:/{run.info.run_id}/f/a.txt"):
        path = mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=str(folder()))
        same(Path(path).read_text(), "x")
    found = mlflow.artifacts.list_artifacts(f"runs:/{run.info.run_id}/f")
    same([Path(each.path).name for each in found], ["a.txt"])
    found = mlflow.artifacts.list_artifacts(run_id=run.info.run_id, artifact_path="f")
    same([each.path for each in found], ["f/a.txt"])


@check()
def files_and_folders_can_be_deleted() -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run = make()
    for name in ("a.txt", "b.txt", "f/c.txt", "f/g/d.txt"):
        client.log_text(run, "x", name)
    place = get_artifact_repository(client.get_run(run).info.artifact_uri)
    place.delete_artifacts("a.txt")
    place.delete_artifacts("f")
    same(listed(run), [("b.txt", False, 1)])
    fails(lambda: down(run, "f/c.txt"))
    client.log_text(run, "again", "f/c.txt")
    same(down(run, "f/c.txt").read_text(), "again")


@check()
def ways_out_of_the_run_are_closed() -> None:
    run, other = make(), make()
    client.log_text(other, "secret", "secret.txt")
    ways = (
        "../secret.txt",
        f"../../{other}/artifacts/secret.txt",
        "/etc/passwd",
        "a/../../b",
        "..%2f..%2fx",
    )
    for way in ways:
        fails(lambda way=way: client.list_artifacts(run, way)[0])
        fails(lambda way=way: down(run, way))


if __name__ == "__main__":
    judge()
