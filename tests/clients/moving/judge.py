"""Go on with the traces of a store: `judge.py URI`."""

import os
import sys

os.environ |= {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource

ADA = AssessmentSource("HUMAN", "ada")


def main(uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    ids = [each.experiment_id for each in client.search_experiments()]
    for trace in client.search_traces(locations=ids, filter_string="tags.k = 'v0'"):
        id = trace.info.trace_id
        client.set_trace_tag(id, "k", "v9")
        mlflow.log_feedback(trace_id=id, name="later", value="fine", source=ADA)
        for one in trace.info.assessments:
            if one.name == "good":
                about = {"trace_id": id, "assessment_id": one.assessment_id, "source": ADA}
                mlflow.override_feedback(**about, value=False, rationale="it is not")
            elif one.name == "right":
                mlflow.update_assessment(
                    trace_id=id,
                    assessment_id=one.assessment_id,
                    assessment=mlflow.entities.Expectation(name="right", value="five"),
                )


if __name__ == "__main__":
    main(sys.argv[1])
