#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the image hyperway:VERSION without a container engine.

usage: image.py build --tree BUILD_TREE --out FOLDER
       image.py root --installed FOLDER --root FOLDER
       image.py unpack LAYOUT FOLDER

build   installs what BUILD_TREE has built, and writes into FOLDER: hyperway/ (an OCI layout), hyperway.tar (the same
        as an archive, for docker, podman, ctr and kind) and sbom.spdx.json. Prints the digest of the image.
root    makes the image's files out of an installation, for the Dockerfile
unpack  checks a layout, digest by digest, and unpacks its image

The image has hyperway's files and of each Debian package that they need: the libraries in use, its copyright and its
entry of dpkg's status (which scanners read). No shell, no package manager. It runs as user 65532. The same files give the same
digest: nothing in it depends on the time, the order of a folder or who builds (SOURCE_DATE_EPOCH is its time, default 0).
"""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
USER = 65532
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
AUTHORITIES = "/usr/share/ca-certificates/mozilla"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SBOM = "usr/share/doc/hyperway/sbom.spdx.json"
# Of an installation; headers and what else is for authors of plugins stays out.
OURS = ("usr/bin", "usr/lib/hyperway", "etc/hyperway", "usr/share/doc/hyperway")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def run(*command, **more):
    """Output of a command, which must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def text_of(path):
    """A file as text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def version():
    """The project's version."""
    return text_of(os.path.join(ROOT, "VERSION")).strip()


# -- what is in the image ----------------------------------------------------------------------------------

def is_elf(path):
    """Whether a file is a program or a library."""
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(path):
    """Absolute paths of all that a program or a library loads, the loader too."""
    found = set()
    for line in run("ldd", path).splitlines():
        if "not found" in line:
            sys.exit(f"{path}: {line.strip()}")
        match = re.search(r"(?:=> )?(/\S+) \(0x", line)
        if match:
            found.add(match.group(1))
    return found


def owner(path):
    """Name of the Debian package that a file comes from."""
    # Packages from before the merge of /lib into /usr/lib know the old path.
    for candidate in (path, path.removeprefix("/usr"), "/usr" + path):
        done = subprocess.run(["dpkg-query", "--search", candidate], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.splitlines()[0].rpartition(": ")[0].split(",")[0]
    sys.exit(f"{path} comes from no Debian package: it cannot be accounted for")


def package_facts(name):
    """What dpkg knows of a package."""
    fields = ("Package", "Version", "Architecture", "source:Package", "source:Version", "Maintainer")
    text = run("dpkg-query", "--show", "--showformat", "\\n".join(f"${{{field}}}" for field in fields), name)
    return dict(zip(fields, text.splitlines()))


class Root:
    """The files of the image in a folder, and the packages that they come from."""

    def __init__(self, folder):
        self.folder = folder
        self.packages = {}
        for name in ("bin", "sbin", "lib", "lib64"):
            os.makedirs(self.path("usr/" + name))
            os.symlink("usr/" + name, self.path(name))
        for name in ("dev", "etc", "proc", "run", "sys", "plugins", "var/lib"):
            os.makedirs(self.path(name), exist_ok=True)
        os.mkdir(self.path("tmp"))
        os.chmod(self.path("tmp"), 0o1777)
        for name in ("run/hyperway", "var/lib/hyperway"):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), 0o700)

    def path(self, name):
        """A file of the image."""
        return os.path.join(self.folder, name.lstrip("/"))

    def write(self, name, text):
        """A file with this content."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def copy(self, source, name):
        """A copy of a file, or of a link to a file, as which it stays."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        shutil.copy2(source, self.path(name), follow_symlinks=False)

    def account_for(self, name):
        """Notes a package; its copyright comes along."""
        facts = package_facts(name)
        if facts["Package"] in self.packages:
            return
        self.packages[facts["Package"]] = facts
        licence = f"/usr/share/doc/{facts['Package']}/copyright"
        os.makedirs(os.path.dirname(self.path(licence)))
        shutil.copyfile(licence, self.path(licence))
        status = run("dpkg-query", "--status", name)
        kept = re.findall(r"^(?:Package|Status|Version|Architecture|Source|Maintainer|Priority|Section): .*$", status, re.M)
        self.write(f"var/lib/dpkg/status.d/{facts['Package']}", "\n".join(kept) + "\n")

    def add_library(self, path):
        """A library under the name that it is loaded by, and what this leads to."""
        while True:
            inside = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
            if os.path.lexists(self.path(inside)):
                return
            self.copy(inside, inside)
            self.account_for(owner(inside))
            if not os.path.islink(inside):
                return
            path = os.path.join(os.path.dirname(inside), os.readlink(inside))


def make_root(installed, folder):
    """The image's files, out of an installation (as if /) of ours."""
    root = Root(folder)
    for part in OURS:
        if os.path.isdir(os.path.join(installed, part)):
            shutil.copytree(os.path.join(installed, part), root.path(part), symlinks=True, dirs_exist_ok=True)
    if not os.path.exists(root.path("usr/bin/hyperway")):
        sys.exit(f"{installed}/usr/bin/hyperway is not there")
    for name in ("hyperway", "hyperway_controller"):  # where the ancestor has them
        os.symlink("usr/bin/" + name, root.path(name))
    needed = set()
    for place, _, files in os.walk(folder):
        for name in files:
            if is_elf(os.path.join(place, name)):
                needed |= libraries(os.path.join(place, name))
    for path in sorted(needed):
        root.add_library(path)
    # Of the package, not of this machine, which may trust others.
    names = [name for name in sorted(os.listdir(AUTHORITIES)) if name.endswith(".crt")]
    root.write(BUNDLE, "".join(text_of(os.path.join(AUTHORITIES, name)) for name in names))
    root.account_for("ca-certificates")
    root.write("etc/passwd", f"root:x:0:0:root:/root:/sbin/nologin\nhyperway:x:{USER}:{USER}:hyperway:/var/lib/hyperway:/sbin/nologin\n")
    root.write("etc/group", f"root:x:0:\nhyperway:x:{USER}:\n")
    root.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    root.write("etc/os-release", 'PRETTY_NAME="hyperway on Debian 12"\nNAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n'
                                 "VERSION_CODENAME=bookworm\n")
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            if name != "tmp" and not stat.S_ISLNK(mode):
                os.chmod(path, stat.S_IMODE(mode) & 0o755)
    root.write(SBOM, json.dumps(bill_of_materials(root), indent=2) + "\n")
    return root


def bill_of_materials(root):
    """What is in the image, as SPDX 2.3: hyperway, and the Debian packages with their versions."""
    def entry(name, number, **more):
        return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": number,
                "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", **more}
    packages = [entry("hyperway", version(), licenseDeclared="Apache-2.0",
                      externalRefs=[purl(f"pkg:generic/hyperway@{version()}")])]
    for name, facts in sorted(root.packages.items()):
        packages.append(entry(
            name, facts["Version"], supplier="Organization: " + facts["Maintainer"],
            sourceInfo=f"built from {facts['source:Package']} {facts['source:Version']}",
            comment=f"licence: /usr/share/doc/{name}/copyright",
            externalRefs=[purl(f"pkg:deb/debian/{name}@{facts['Version'].replace('+', '%2B').replace(':', '%3A')}"
                               f"?arch={facts['Architecture']}&distro=debian-12")]))
    content = hashlib.sha256(json.dumps(packages).encode()).hexdigest()[:32]
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": packages[0]["SPDXID"]}]
    relations += [{"spdxElementId": packages[0]["SPDXID"], "relationshipType": "DEPENDS_ON", "relatedSpdxElement": p["SPDXID"]}
                  for p in packages[1:]]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"hyperway-{version()}",
            "documentNamespace": f"https://hyperway.arloor.dev/spdx/hyperway-{version()}-{content}",
            "creationInfo": {"created": created(), "creators": ["Tool: packaging/image.py"]},
            "packages": packages, "relationships": relations}


def purl(locator):
    """The reference by which scanners know a package."""
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}


def created():
    """The time of the image."""
    return datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- layers and layout -------------------------------------------------------------------------------------

def is_ours(name):
    """Whether a file belongs to the layer of hyperway, and not to that of what it needs."""
    return name.startswith(("usr/bin/hyperway", "usr/lib/hyperway", "etc/hyperway", "usr/share/doc/hyperway")) or \
        name in ("hyperway", "hyperway_controller")


def layer(folder, wanted):
    """A tar of the files of a folder that `wanted` takes, the same for the same files."""
    names = []
    for place, folders, files in os.walk(folder):
        names += [os.path.relpath(os.path.join(place, name), folder) for name in folders + files]
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(filter(wanted, names)):
            path = os.path.join(folder, name)
            info = tar.gettarinfo(path, name)
            info.uid = info.gid = USER if name in ("run/hyperway", "var/lib/hyperway") else 0
            info.uname = info.gname = ""
            info.mtime = EPOCH
            if info.islnk():  # two names of one file on this machine
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", os.path.getsize(path)
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return text.getvalue()


class Layout:
    """An OCI image layout that is being written."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(os.path.join(folder, "blobs/sha256"))

    def add(self, kind, data, **more):
        """A blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.folder, "blobs/sha256", digest), "wb") as file:
            file.write(data)
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data), **more}

    def add_json(self, kind, value, **more):
        """The same of a value."""
        return self.add(kind, json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), **more)

    def write(self, name, value):
        """A file beside the blobs."""
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file, sort_keys=True)


def write_layout(root, folder):
    """The image of a folder's files as a layout; its digest."""
    layout = Layout(folder)
    media = "application/vnd.oci.image."
    layers, diffs = [], []
    for wanted in (lambda name: not is_ours(name), is_ours):
        data = layer(root, wanted)
        diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
        layers.append(layout.add(media + "layer.v1.tar+gzip", gzip.compress(data, 6, mtime=0)))
    labels = {"org.opencontainers.image.title": "hyperway", "org.opencontainers.image.version": version(),
              "org.opencontainers.image.licenses": "Apache-2.0",
              "org.opencontainers.image.description": "A Kubernetes Gateway API gateway",
              "org.opencontainers.image.base.name": "debian:12, its libraries alone"}
    config = layout.add_json(media + "config.v1+json", {
        "created": created(), "architecture": ARCHITECTURES[os.uname().machine], "os": "linux",
        "config": {"User": f"{USER}:{USER}", "ExposedPorts": {"9180/tcp": {}}, "Entrypoint": ["/hyperway"],
                   "Env": ["PATH=" + PATH, "SSL_CERT_FILE=/" + BUNDLE], "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "history": [{"created": created(), "created_by": f"packaging/image.py: {what}"}
                    for what in ("what hyperway needs of Debian 12", "hyperway")]})
    name = f"hyperway:{version()}"
    manifest = layout.add_json(media + "manifest.v1+json", {
        "schemaVersion": 2, "mediaType": media + "manifest.v1+json", "config": config, "layers": layers, "annotations": labels})
    layout.write("oci-layout", {"imageLayoutVersion": "1.0.0"})
    layout.write("index.json", {"schemaVersion": 2, "mediaType": media + "index.v1+json", "manifests": [{
        **manifest, "platform": {"architecture": ARCHITECTURES[os.uname().machine], "os": "linux"},
        "annotations": {"io.containerd.image.name": "docker.io/library/" + name, "org.opencontainers.image.ref.name": version()}}]})
    # For docker load of before version 25.
    blob = lambda descriptor: "blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")  # noqa: E731
    layout.write("manifest.json", [{"Config": blob(config), "RepoTags": [name], "Layers": [blob(one) for one in layers]}])
    return manifest["digest"]


def unpack(layout, folder):
    """Checks all digests of a layout, and unpacks the image. Its configuration."""
    def blob(descriptor):
        with open(os.path.join(layout, "blobs/sha256", descriptor["digest"].removeprefix("sha256:")), "rb") as file:
            data = file.read()
        if (len(data), "sha256:" + hashlib.sha256(data).hexdigest()) != (descriptor["size"], descriptor["digest"]):
            sys.exit(f"{descriptor['digest']} is something else")
        return data
    index = json.loads(text_of(os.path.join(layout, "index.json")))
    manifest = json.loads(blob(index["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    os.makedirs(folder, exist_ok=True)
    for descriptor, wanted in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = gzip.decompress(blob(descriptor))
        if "sha256:" + hashlib.sha256(data).hexdigest() != wanted:
            sys.exit(f"{descriptor['digest']} unpacks to something else")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(folder, numeric_owner=True)
    return config


def build(tree, out):
    """The image of a build tree, in a folder that holds nothing else. Its digest."""
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    with tempfile.TemporaryDirectory(prefix="hyperway-image-") as work:
        installed = os.path.join(work, "installed")
        run("cmake", "--install", tree, "--prefix", "/usr", "--strip", env={**os.environ, "DESTDIR": installed})
        root = make_root(installed, os.path.join(work, "root"))
        digest = write_layout(root.folder, os.path.join(out, "hyperway"))
        shutil.copy(root.path(SBOM), os.path.join(out, "sbom.spdx.json"))
    with tarfile.open(os.path.join(out, "hyperway.tar"), "w", format=tarfile.PAX_FORMAT) as tar:
        for place, folders, files in sorted(os.walk(os.path.join(out, "hyperway"))):
            for name in sorted(folders + files):
                path = os.path.join(place, name)
                info = tar.gettarinfo(path, os.path.relpath(path, os.path.join(out, "hyperway")))
                info.uid = info.gid = info.mtime = 0
                info.uname = info.gname = ""
                info.mode = 0o755 if info.isdir() else 0o644
                with open(path, "rb") if info.isreg() else io.BytesIO() as file:
                    tar.addfile(info, file if info.isreg() else None)
    return digest


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("build")
    one.add_argument("--tree", required=True)
    one.add_argument("--out", required=True)
    one = commands.add_parser("root")
    one.add_argument("--installed", required=True)
    one.add_argument("--root", required=True)
    one = commands.add_parser("unpack")
    one.add_argument("layout")
    one.add_argument("folder")
    arguments = parser.parse_args(argv)
    os.umask(0o022)
    if arguments.command == "build":
        print(f"hyperway:{version()} {build(arguments.tree, arguments.out)}")
    elif arguments.command == "root":
        root = make_root(arguments.installed, arguments.root)
        for name in ("run/hyperway", "var/lib/hyperway"):
            os.chown(root.path(name), USER, USER)
    else:
        unpack(arguments.layout, arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
