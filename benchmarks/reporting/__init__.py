"""The figures of tracking, part by part: programs of users, servers, stores and kills.

`servers` starts Trivet's tracking server, MLflow's own and one that only answers; `client` is the
program that MLflow's unmodified client runs against each of them.
"""
