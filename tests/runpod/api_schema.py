"""The part of RunPod's published API v2 (OpenAPI 3.1) that this project touches, as JSON Schema.

Field names, types, limits and statuses are those of https://api.runpod.io/v2/openapi.json as it
was published in November 2026. Descriptions and the parts not used here are left out.
"""

STRING, NUMBER, BOOLEAN = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 1}
NAME = {"type": "string", "minLength": 1}
OR_NULL = {"type": ["string", "null"]}
STRINGS = {"type": "array", "items": STRING}
VERSION = {"type": "string", "pattern": r"^\d+\.\d+$"}
STATUSES = ["PROVISIONING", "STARTING", "RUNNING", "EXITED", "ERROR", "TERMINATED"]
CLOUD = {"enum": ["SECURE", "COMMUNITY"]}


def _object(required: list[str], closed: bool = True, **properties: object) -> dict:
    schema = {"type": "object", "required": required, "properties": properties}
    return schema | ({"additionalProperties": False} if closed else {})


MOUNTS = _object(
    [],
    persistent=_object(["size", "path"], size={"type": "integer", "minimum": 10}, path=STRING),
    network={
        "type": "array",
        "maxItems": 1,
        "items": _object(["volumeId", "path"], volumeId=STRING, path=STRING),
    },
)
CONTAINER = {
    "args": STRING,
    "disk": COUNT,
    "env": {"type": "object", "additionalProperties": STRING},
    "image": STRING,
    "ports": STRINGS,
    "registry": OR_NULL,
}
CREATE_POD = _object(
    ["name", "image"],
    **CONTAINER,
    name=NAME,
    cloud=CLOUD,
    cpu=_object(["id", "vcpuCount"], id=NAME, vcpuCount={"type": "integer", "minimum": 2}),
    dataCenterIds=STRINGS,
    globalNetworking=BOOLEAN,
    gpu=_object(
        ["id"],
        id=STRING,
        count=COUNT,
        allowedCudaVersions={"type": "array", "items": VERSION},
        minCudaVersion=VERSION,
        minRamPerGpu=COUNT,
        minVcpuCountPerGpu=COUNT,
    ),
    mounts=MOUNTS,
    startJupyter=BOOLEAN,
    startSsh=BOOLEAN,
    templateId=NAME,
)
POD = _object(
    [
        *("id", "name", "status", "actions", "image", "args", "disk", "mounts", "ports", "env"),
        *("registry", "cloud", "dataCenterId", "cudaVersion", "ssh", "template", "cost"),
        *("locked", "runtime", "createdAt", "startedAt", "globalNetworking"),
    ],
    closed=False,
    **CONTAINER,
    id=STRING,
    name=STRING,
    status={"enum": STATUSES},
    actions={"type": "array", "items": {"enum": ["start", "stop", "restart", "terminate"]}},
    mounts=MOUNTS,
    gpu=_object(
        ["id", "vcpuCount", "memory"], id=STRING, count=COUNT, vcpuCount=NUMBER, memory=NUMBER
    ),
    cloud=CLOUD,
    dataCenterId=OR_NULL,
    cudaVersion=OR_NULL,
    ssh=_object(["proxy", "direct"], proxy={"type": "null"}, direct={"type": "null"}),
    template=OR_NULL,
    cost=NUMBER,
    locked=BOOLEAN,
    runtime={"type": ["object", "null"]},
    createdAt={"type": "string", "format": "date-time"},
    startedAt=OR_NULL,
    globalNetworking=_object(["enabled"], enabled=BOOLEAN),
)
GPU_TYPE = _object(
    ["id", "name", "pool", "manufacturer", "memory", "secure", "community", "price", "maxCount"],
    closed=False,
    price=_object(["secure", "community"], secure=NUMBER, community=NUMBER),
)
PROBLEM = _object(
    ["title", "status", "detail"], title=STRING, status=COUNT, detail=STRING, errors=STRINGS
)
