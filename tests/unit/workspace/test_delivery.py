import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from trivet.workspace.workspace import open as open_workspace

HIDDEN = '[calibration]\nlimit = 1.0\n[latency]\np99_ms = 1000\n[champion]\nfigures = "hidden"\n'
PIPELINE = """
import polars as pl
from sklearn.linear_model import LogisticRegression

from trivet import Data, flow, step
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.signatures import fit_signature


@step
def fit(training: pl.DataFrame) -> Candidate:
    signature = fit_signature(training, "left", "binary")
    encoder = Encoder(signature)
    model = LogisticRegression()
    model.fit(encoder.encode_frame(training), encoder.encode_target(training))
    return Candidate.of(model, signature, sample=training)


@flow
def train(table: Data = "customers"):
    table = pl.DataFrame(table)
    training, holdout = table[:600], table[600:]
    return {"model": fit(training), "training": training, "holdout": holdout}
"""


def test_hidden_figures_keep_held_out_losses_out_of_a_refused_package(
    project: Path, environment: dict[str, str]
) -> None:
    def run() -> str:
        command = [sys.executable, "-m", "trivet", "run"]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    (project / "pipeline.py").write_text(PIPELINE)
    random = np.random.default_rng(0)
    x = random.normal(size=(1200, 2))
    left = random.random(1200) < 1 / (1 + np.exp(-2 * x[:, 0]))
    with open_workspace(project, actor="ada") as ws:
        rows = pl.DataFrame({"x": x[:, 0].round(3), "z": x[:, 1].round(3), "left": left})
        ws.data.publish("customers", {"customers": rows}, source="a test")
    (project / "gate.toml").write_text(HIDDEN + "[quality]\nthreshold = 0.999\n")
    assert "refused by its gate" in run()
    with open_workspace(project) as ws:
        ((_, refused),) = ws.models.verdicts.of("left")
        assert ws.models.open(refused.subject).reference.windows == ()
    (project / "gate.toml").write_text(HIDDEN)
    said = run()
    assert "registered" in said, said
    with open_workspace(project) as ws:
        _, (_, bare), (id_, whole) = ws.models.verdicts.of("left")
        model = ws.models.get("left")
        assert model.version.verdict == id_
        assert ws.models.open(model).reference.windows
        # Completing what has passed is no further look.
        assert (whole.look, whole.alpha, whole.passed) == (bare.look, bare.alpha, True)
        assert whole.subject != bare.subject == refused.subject
    assert "nothing changed: this is left:1" in run()
    with open_workspace(project) as ws:
        assert len(ws.models.verdicts.of("left")) == 3
