"""Every route of the MLflow wire that Trivet means to answer, and the fields that it reads.

`[x]` is a list of objects or words, `x#` a number; the rest is text. A word in braces is part of
the address.
"""

from typing import NamedTuple


class Route(NamedTuple):
    method: str
    path: str
    fields: tuple[str, ...]


TABLE = """
GET    /health
GET    /version
GET    /api/3.0/mlflow/server-info
GET    /get-artifact                             run_id path
POST   2/experiments/create                      name artifact_location [tags]
GET    2/experiments/get                         experiment_id
GET    2/experiments/get-by-name                 experiment_name
POST   2/experiments/search                      max_results# page_token filter [order_by] view_type
GET    2/experiments/search                      max_results# page_token filter [order_by] view_type
POST   2/experiments/update                      experiment_id new_name
POST   2/experiments/delete                      experiment_id
POST   2/experiments/restore                     experiment_id
POST   2/experiments/set-experiment-tag          experiment_id key value
POST   2/experiments/delete-experiment-tag       experiment_id key
POST   ajax/experiments/search-datasets          [experiment_ids]
POST   2/runs/create                             experiment_id user_id run_name start_time# [tags]
GET    2/runs/get                                run_id run_uuid
POST   2/runs/update                             run_id run_uuid status end_time# run_name
POST   2/runs/search     [experiment_ids] filter run_view_type max_results# [order_by] page_token
POST   2/runs/delete                             run_id
POST   2/runs/restore                            run_id
POST   2/runs/log-metric   run_id key value# timestamp# step# model_id dataset_name dataset_digest
POST   2/runs/log-parameter                      run_id key value
POST   2/runs/set-tag                            run_id key value
POST   2/runs/delete-tag                         run_id key
POST   2/runs/log-batch                          run_id [metrics] [params] [tags]
POST   2/runs/log-inputs                         run_id [datasets] [models]
POST   2/runs/outputs                            run_id [models]
POST   2/runs/log-model                          run_id model_json
GET    2/metrics/get-history                     run_id metric_key max_results# page_token
GET    2/metrics/get-history-bulk-interval  [run_ids] metric_key start_step# end_step# max_results#
GET    ajax/metrics/get-history-bulk             [run_id] metric_key max_results#
GET    2/artifacts/list                          run_id path page_token
POST   2/logged-models          experiment_id name model_type source_run_id [params] [tags]
GET    2/logged-models/{model_id}                allow_deleted
PATCH  2/logged-models/{model_id}                model_id status
POST   2/logged-models/search  [experiment_ids] filter [datasets] max_results# [order_by] page_token
PATCH  2/logged-models/{model_id}/tags           [tags]
DELETE 2/logged-models/{model_id}/tags/{key}
POST   2/logged-models/{model_id}/params         model_id [params]
DELETE 2/logged-models/{model_id}                model_id
GET    2/logged-models/{model_id}/artifacts/directories    artifact_directory_path
POST   2/registered-models/create                name [tags] description
GET    2/registered-models/get                   name
POST   2/registered-models/rename                name new_name
PATCH  2/registered-models/update                name description
DELETE 2/registered-models/delete                name
GET    2/registered-models/search                filter max_results# [order_by] page_token
POST   2/registered-models/get-latest-versions   name [stages]
GET    2/registered-models/get-latest-versions   name [stages]
POST   2/registered-models/set-tag               name key value
DELETE 2/registered-models/delete-tag            name key
POST   2/registered-models/alias                 name alias version
GET    2/registered-models/alias                 name alias
DELETE 2/registered-models/alias                 name alias
POST   2/model-versions/create     name source run_id [tags] run_link description model_id
GET    2/model-versions/get                      name version
GET    2/model-versions/get-download-uri         name version
GET    2/model-versions/search                   filter max_results# [order_by] page_token
PATCH  2/model-versions/update                   name version description
POST   2/model-versions/transition-stage         name version stage archive_existing_versions
DELETE 2/model-versions/delete                   name version
POST   2/model-versions/set-tag                  name version key value
DELETE 2/model-versions/delete-tag               name version key
GET    /api/2.0/mlflow-artifacts/artifacts       path
POST   3/traces                                  trace
GET    3/traces/{trace_id}
POST   3/traces/search                 [locations] filter max_results# [order_by] page_token
PATCH  2/traces/{trace_id}/tags                  key value
DELETE 2/traces/{trace_id}/tags                  key
POST   2/traces/delete-traces    experiment_id max_timestamp_millis# max_traces# [request_ids]
POST   2/traces             experiment_id timestamp_ms# [request_metadata] [tags]
PATCH  2/traces/{trace_id}       request_id timestamp_ms# status [request_metadata] [tags]
GET    2/traces/{trace_id}/info
GET    2/traces                  [experiment_ids] filter max_results# [order_by] page_token
POST   2/webhooks                name description url [events] secret status
GET    2/webhooks                max_results# page_token
GET    2/webhooks/{webhook_id}
PATCH  2/webhooks/{webhook_id}   name description url [events] secret status
POST   2/webhooks/{webhook_id}/test              event
DELETE 2/webhooks/{webhook_id}
"""

SHORT = {"2": "/api/2.0/mlflow", "3": "/api/3.0/mlflow", "ajax": "/ajax-api/2.0/mlflow"}


def read(line: str) -> Route:
    method, path, *fields = line.split()
    start, _, rest = path.partition("/")
    return Route(method, f"{SHORT[start]}/{rest}" if start else path, tuple(fields))


ROUTES = tuple(read(line) for line in TABLE.strip().splitlines())
