"""What is known of calls: which leave their arguments alone, and which return something new.

Whatever is not listed here may change what it is given. A wrong entry would lose a change made in
place, so only calls whose documentation rules that out stand here.
"""

PURE_BUILTINS = frozenset(
    {
        *("abs", "all", "any", "ascii", "bin", "bool", "bytes", "callable", "chr", "complex"),
        *("dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "getattr"),
        *("hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass", "iter", "len", "list"),
        *("map", "max", "min", "oct", "open", "ord", "pow", "print", "range", "repr", "reversed"),
        *("round", "set", "slice", "sorted", "str", "sum", "tuple", "type", "zip", "display"),
    }
)

SCALAR_CALLS = frozenset(
    {
        *(
            "abs",
            "all",
            "any",
            "bin",
            "bool",
            "bytes",
            "chr",
            "complex",
            "divmod",
            "float",
            "format",
        ),
        *(
            "hash",
            "hex",
            "id",
            "int",
            "isinstance",
            "issubclass",
            "len",
            "oct",
            "ord",
            "pow",
            "range",
        ),
        *("repr", "round", "str", "sum", "type", "callable", "hasattr", "print"),
    }
)
"""Built-in functions whose value shares nothing with their arguments."""

PURE_LIBRARIES = frozenset(
    {
        *("numpy", "pandas", "polars", "scipy", "math", "statistics", "json", "copy", "itertools"),
        *(
            "functools",
            "operator",
            "collections",
            "datetime",
            "decimal",
            "fractions",
            "re",
            "string",
        ),
        *(
            "matplotlib",
            "seaborn",
            "plotly",
            "altair",
            "os",
            "pathlib",
            "time",
            "hashlib",
            "textwrap",
        ),
        *(
            "pprint",
            "csv",
            "glob",
            "typing",
            "dataclasses",
            "pyarrow",
            "warnings",
            "random",
            "sklearn",
        ),
        *("IPython", "tqdm"),
    }
)
"""Libraries whose functions leave their arguments alone, but for those in `MUTATING`."""

FRESH_FUNCTIONS = frozenset(
    {
        *(
            "copy",
            "json",
            "math",
            "statistics",
            "time",
            "datetime",
            "re",
            "hashlib",
            "textwrap",
            "os",
        ),
    }
)
"""Libraries whose functions return nothing that shares an object with their arguments."""

FRESH_LIBRARIES = frozenset({"numpy", "pandas", "polars", "scipy", "math", "statistics", "json"})
"""Libraries whose constructors and functions do not keep the very objects they are given."""

MUTATING = frozenset(
    {
        *("shuffle", "put", "put_along_axis", "place", "putmask", "copyto", "fill_diagonal"),
        *("heappush", "heappop", "heapify", "heapreplace", "heappushpop", "insort", "insort_left"),
        *(
            "insort_right",
            "setattr",
            "delattr",
            "next",
            "resize",
            "iadd",
            "imul",
            "setitem",
            "delitem",
        ),
        *("load_state_dict", "load_weights"),
    }
)

ACTING = frozenset(
    {
        *(
            "mkdir",
            "unlink",
            "rmdir",
            "touch",
            "write_text",
            "write_bytes",
            "read_text",
        ),
        *("read_bytes", "iterdir", "glob", "rglob"),
    }
)
"""Methods of paths: they leave the path alone and deal with the world."""

PURE_METHODS = frozenset(
    {
        # mappings, sequences, text
        *("keys", "values", "items", "get", "copy", "count", "index", "split", "join", "format"),
        *(
            "strip",
            "lstrip",
            "rstrip",
            "lower",
            "upper",
            "title",
            "startswith",
            "endswith",
            "encode",
        ),
        *("decode", "replace", "splitlines", "isdigit", "most_common", "union", "intersection"),
        *(
            "difference",
            "symmetric_difference",
            "issubset",
            "isoformat",
            "strftime",
            "total_seconds",
        ),
        # frames and series of pandas and Polars; with inplace=True they do not count
        *("head", "tail", "describe", "info", "sample", "groupby", "group_by", "agg", "aggregate"),
        *("mean", "sum", "min", "max", "std", "var", "median", "quantile", "mode", "nunique"),
        *("unique", "value_counts", "corr", "cov", "cumsum", "cumprod", "diff", "shift", "rank"),
        *("sort_values", "sort_index", "sort_by", "reset_index", "set_index", "rename", "drop"),
        *("dropna", "fillna", "isna", "isnull", "notna", "notnull", "assign", "query", "merge"),
        *(
            "pivot",
            "pivot_table",
            "melt",
            "unpivot",
            "stack",
            "unstack",
            "explode",
            "astype",
            "cast",
        ),
        *(
            "drop_duplicates",
            "duplicated",
            "nlargest",
            "nsmallest",
            "clip",
            "round",
            "abs",
            "where",
        ),
        *("mask", "between", "isin", "is_in", "eq", "ne", "lt", "gt", "le", "ge", "rolling"),
        *(
            "to_dict",
            "to_list",
            "tolist",
            "to_frame",
            "to_numpy",
            "to_pandas",
            "to_csv",
            "to_parquet",
        ),
        *(
            "to_json",
            "to_excel",
            "to_string",
            "to_html",
            "to_markdown",
            "write_csv",
            "write_parquet",
        ),
        *(
            "write_json",
            "with_columns",
            "select",
            "filter",
            "collect",
            "lazy",
            "alias",
            "over",
            "col",
        ),
        *(
            "null_count",
            "drop_nulls",
            "fill_null",
            "is_null",
            "is_not_null",
            "n_unique",
            "row",
            "rows",
        ),
        *("iter_rows", "iterrows", "itertuples", "glimpse", "estimated_size", "any", "all", "item"),
        *("plot", "hist", "boxplot", "scatter", "equals", "first", "last", "resample", "transpose"),
        *("concat", "len", "idxmax", "idxmin", "argmax", "argmin", "argsort", "reshape", "ravel"),
        *("flatten", "dot", "prod", "nonzero", "apply", "map", "applymap", "transform"),
        # paths and patterns
        *("exists", "is_file", "is_dir", "joinpath", "with_suffix", "with_name", "resolve"),
        *("absolute", "as_posix", "relative_to", "match", "fullmatch", "findall", "finditer"),
        *("search", "sub", "find", "rfind", "partition", "rpartition", "zfill", "capitalize"),
        # fitted models
        *("predict", "predict_proba", "predict_log_proba", "decision_function", "score"),
        *("inverse_transform", "get_params", "get_feature_names_out", "staged_predict"),
    }
)
"""Methods that leave the object itself alone, whatever its type."""

PURE_ON_ARGUMENTS = (
    PURE_METHODS
    | ACTING
    | frozenset(
        {
            *(
                "fit",
                "fit_transform",
                "fit_predict",
                "partial_fit",
                "append",
                "extend",
                "add",
                "update",
            ),
            *(
                "insert",
                "setdefault",
                "remove",
                "discard",
                "pop",
                "write",
                "writelines",
                "save",
                "savefig",
            ),
            *(
                "bar",
                "barh",
                "pie",
                "imshow",
                "legend",
                "set_title",
                "set_xlabel",
                "set_ylabel",
                "text",
            ),
            *(
                "axhline",
                "axvline",
                "fill_between",
                "set",
                "split",
                "findall",
                "search",
                "sub",
                "seed",
            ),
            *("normal", "uniform", "integers", "choice", "permutation", "random", "appendleft"),
        }
    )
)
"""Methods that leave their arguments alone; what they do to the object is another question."""

FRESH_METHODS = PURE_METHODS - frozenset(
    {
        *(
            "values",
            "copy",  # of a list: its items are the same
            "items",
            "get",
            "row",
            "rows",
            "apply",
            "map",
            "transform",
            "first",
        ),
        *(
            "last",
            "reshape",
            "ravel",
            "to_numpy",
            "iter_rows",
            "iterrows",
            "itertuples",
            "transpose",
        ),
        *(
            "plot",
            "hist",
            "boxplot",
            "scatter",
            "alias",
            "where",
            "filter",
            "item",
            "collect",
            "lazy",
        ),
    }
)
"""Methods whose value shares nothing with the object."""

RETURNS_SELF = frozenset({"fit", "partial_fit", "set_params", "train", "eval", "to", "compile"})
