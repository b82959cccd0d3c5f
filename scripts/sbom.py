"""List what is in an image: a CycloneDX 1.6 bill of materials and a table of licences.

    python scripts/sbom.py tpv:latest --out tpv.cdx.json --licences tpv-licences.md

The image itself is asked: the Python distributions of its environment, with their hashes where pip recorded them, and
the Debian packages of its base.
"""

import argparse
import json
import shutil
import subprocess
import sys
import urllib.parse
import uuid
from pathlib import Path
from typing import Any

# Runs inside the image: standard library only.
INSPECT = r"""
import importlib.metadata, json, re
python = []
for found in importlib.metadata.distributions():
    meta = found.metadata
    classified = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier", []) if c.startswith("License ::")]
    first_line = (meta.get("License") or "").strip().partition("\n")[0]
    text = meta.get("License-Expression") or "; ".join(classified) or first_line
    python.append({"name": meta["Name"], "version": meta["Version"], "licence": text,
                   "summary": meta.get("Summary") or "", "wheel": bool(found.read_text("WHEEL"))})
debian = []
try:
    status = open("/var/lib/dpkg/status", encoding="utf-8").read()
except OSError:
    status = ""
for block in status.split("\n\n"):
    fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", block, flags=re.M))
    if fields.get("Status") == "install ok installed":
        debian.append({"name": fields["Package"], "version": fields["Version"], "arch": fields["Architecture"]})
release = dict(re.findall(r'^(\w+)="?([^"\n]*)', open("/etc/os-release").read(), flags=re.M))
import platform
print(json.dumps({"python": python, "debian": debian, "release": release, "interpreter": platform.python_version()}))
"""


def docker(*command: str) -> str:
    """Run a docker command; give its output."""
    whole = [shutil.which("docker") or "docker", *command]
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no shell


def licence_of(text: str) -> list[dict[str, Any]]:
    """Give CycloneDX licences: an SPDX expression when it looks like one, else the words that the package uses."""
    if not text or text == "UNKNOWN":
        return []
    simple = text.replace("(", " ").replace(")", " ").split()
    if all(word in {"AND", "OR", "WITH"} or ("-" in word or word in {"MIT", "ISC", "0BSD", "Zlib"}) for word in simple):
        return [{"expression": text}]
    return [{"license": {"name": text}}]


def component(kind: str, name: str, version: str, purl: str, **more: Any) -> dict[str, Any]:
    """Describe one component."""
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl} | more


def bill(image: str, found: dict[str, Any]) -> dict[str, Any]:
    """Give the bill of materials of an image as a CycloneDX document."""
    (config,) = json.loads(docker("image", "inspect", image))
    labels = config["Config"].get("Labels") or {}
    title, version = labels["org.opencontainers.image.title"], labels["org.opencontainers.image.version"]
    digest = config["Id"].removeprefix("sha256:")
    quote = urllib.parse.quote
    components = [
        component(
            "library",
            item["name"],
            item["version"],
            f"pkg:pypi/{quote(item['name'].lower().replace('_', '-'))}@{quote(item['version'])}",
            description=item["summary"],
            licenses=licence_of(item["licence"]),
        )
        for item in sorted(found["python"], key=lambda item: str(item["name"]).lower())
    ]
    distribution = f"{found['release'].get('ID', 'debian')}-{found['release'].get('VERSION_ID', '')}"
    components += [
        component(
            "library",
            item["name"],
            item["version"],
            f"pkg:deb/debian/{quote(item['name'])}@{quote(item['version'], safe='')}"
            f"?arch={item['arch']}&distro={distribution}",
        )
        for item in sorted(found["debian"], key=lambda item: str(item["name"]))
    ]
    components.append(
        component(
            "platform",
            "python",
            found["interpreter"],
            f"pkg:generic/python@{found['interpreter']}",
            licenses=licence_of("PSF-2.0"),
        )
    )
    root = f"pkg:oci/{title}@sha256:{digest}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, root)}",
        "version": 1,
        "metadata": {
            "timestamp": labels["org.opencontainers.image.created"],
            "component": component(
                "container",
                title,
                version,
                root,
                hashes=[{"alg": "SHA-256", "content": digest}],
                licenses=licence_of(labels["org.opencontainers.image.licenses"]),
            ),
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [item["bom-ref"] for item in components]}],
    }


def licences(image: str, found: dict[str, Any]) -> str:
    """Give the licences of the Python packages as a Markdown table."""
    lines = [f"# Licences in {image}", "", "| package | version | licence |", "|---|---|---|"]
    lines += [
        f"| {item['name']} | {item['version']} | {item['licence'] or 'not stated'} |"
        for item in sorted(found["python"], key=lambda item: str(item["name"]).lower())
    ]
    lines += ["", f"and {len(found['debian'])} Debian packages: /usr/share/doc/PACKAGE/copyright of the base image", ""]
    return "\n".join(lines)


def main() -> int:
    """Write both files; give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("image")
    parser.add_argument("--out", type=Path, required=True, help="CycloneDX JSON to write")
    parser.add_argument("--licences", type=Path, help="Markdown table to write")
    arguments = parser.parse_args()
    try:
        found = json.loads(
            docker("run", "--rm", "--network=none", "--entrypoint", "python", arguments.image, "-c", INSPECT)
        )
        document = bill(arguments.image, found)
    except subprocess.CalledProcessError as error:
        print(error.stderr.strip(), file=sys.stderr)
        return 1
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.licences:
        arguments.licences.write_text(licences(arguments.image, found), encoding="utf-8")
    print(f"{arguments.image}: {len(found['python'])} Python and {len(found['debian'])} Debian packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
