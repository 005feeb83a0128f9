"""MLflow: its databases, folders and servers, read as holdings; its servers, written to.

Nothing of MLflow is imported: tables are read by SQL, folders as files, servers over HTTP.
"""
