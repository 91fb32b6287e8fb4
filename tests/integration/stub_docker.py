"""Stands in for `docker` where no engine runs: what it is asked to build is put into ECR, empty.

Each call is a line of the file DOCKER_CALLS. ECR is that of AWS_ENDPOINT_URL.
"""

import json
import os
import sys
from pathlib import Path

import boto3

DOCKERS_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def main(words: list[str]) -> None:
    with Path(os.environ["DOCKER_CALLS"]).open("a") as calls:
        calls.write(f"{words[0]}\n")
    if words[0] == "run":
        print("numpy==2.4.6")
    elif words[0] == "login":
        assert sys.stdin.read()
    else:
        output = dict(pair.split("=", 1) for pair in words[words.index("--output") + 1].split(","))
        name, _, tag = output["name"].partition("/")[2].partition(":")
        manifest = json.dumps({"schemaVersion": 2, "mediaType": DOCKERS_MANIFEST, "config": {"digest": name}})
        boto3.client("ecr").put_image(repositoryName=name, imageTag=tag, imageManifest=manifest)


if __name__ == "__main__":
    main(sys.argv[1:])
