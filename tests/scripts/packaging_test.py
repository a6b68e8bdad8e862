"""What packaging/ has for clusters, and docs/guide/deploy.md tells of it, fits the
program and itself. What only Docker or a running systemd could show is not here.

    packaging_test.py [TROUPE]
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import yaml
except ImportError:
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
COMPOSE = PACKAGING / "compose"
CONFIGS = [*sorted(PACKAGING.glob("cluster/*.yaml")), *sorted(COMPOSE.glob("n*.yaml"))]
UNITS = sorted(PACKAGING.glob("systemd/**/*.service"))
TEXTS = [ROOT / "docs/guide/deploy.md", *sorted(COMPOSE.iterdir()), *UNITS]
TROUPE = None

# The keys of a service that compose.yaml uses, by the Compose specification.
SERVICE_KEYS = {
    "image", "build", "user", "init", "restart", "depends_on", "stop_grace_period",
    "stop_signal", "cap_drop", "security_opt", "healthcheck", "command", "network_mode",
    "volumes", "networks", "environment", "hostname"}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_healthy", "service_completed_successfully"}
SUBCOMMANDS = re.compile(
    r"\btroupe (cluster|node|config|submit|list|wait|logs)\b((?:[^\n`|;\"]|\\\n)*)")


def options_of(subcommand):
    text = subprocess.run([TROUPE, subcommand, "--help"], check=True, timeout=20,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = (COMPOSE / "compose.yaml").read_text()
        cls.all = yaml.safe_load(cls.text)
        cls.services = cls.all["services"]
        cls.nodes = {name: service for name, service in cls.services.items()
                     if name not in ("setup", "store")}

    def test_it_has_keys_that_there_are(self):
        self.assertLessEqual(set(self.all), {"name", "x-node", "services", "networks",
                                             "volumes"})
        for name, service in self.services.items():
            self.assertLessEqual(set(service), SERVICE_KEYS, name)
            self.assertLessEqual(set(service.get("healthcheck", {})), HEALTH_KEYS, name)

    def test_what_is_depended_on_is_there_and_can_tell(self):
        for name, service in self.services.items():
            for other, how in service.get("depends_on", {}).items():
                self.assertIn(other, self.services, name)
                self.assertIn(how["condition"], CONDITIONS)
                if how["condition"] == "service_healthy":
                    self.assertIn("healthcheck", self.services[other])

    def test_each_service_has_a_health_check_but_the_one_that_ends(self):
        self.assertEqual({name for name, service in self.services.items()
                          if "healthcheck" not in service}, {"setup"})

    def test_each_volume_is_there_and_used_and_each_file_exists(self):
        used = set()
        for name, service in self.services.items():
            for volume in service.get("volumes", []):
                source, target, *mode = volume.split(":")
                self.assertTrue(target.startswith("/"), volume)
                if source.startswith("."):
                    self.assertTrue((COMPOSE / source).is_file(), volume)
                    self.assertEqual(mode, ["ro"], volume)
                else:
                    used.add(source)
        self.assertEqual(used, set(self.all["volumes"]))
        build = self.services["setup"]["build"]
        self.assertTrue((COMPOSE / build["context"] / build["dockerfile"]).is_file())
        self.assertEqual((COMPOSE / build["context"]).resolve(), ROOT)

    def test_each_node_is_set_up_and_listens_at_its_own_address(self):
        self.assertEqual(self.services["setup"]["command"],
                         ["sh", "/setup.sh", "/setup", *self.nodes])
        for name, service in self.nodes.items():
            self.assertIn(f"{name}:/setup/{name}", self.services["setup"]["volumes"])
            config = yaml.safe_load((COMPOSE / f"{name}.yaml").read_text())
            self.assertIn(f"./{name}.yaml:/etc/troupe/troupe.yaml:ro",
                          service["volumes"])
            self.assertIn(f"{name}:/var/lib/troupe", service["volumes"])
            address = service["networks"]["cluster"]["ipv4_address"]
            self.assertEqual(config["listen"], f"{address}:4200")
            for key in ("folder", "cluster-folder", "store-password-file"):
                self.assertTrue(config[key].startswith("/var/lib/troupe/"), key)
        addresses = [service["networks"]["cluster"]["ipv4_address"]
                     for service in self.services.values() if "networks" in service]
        self.assertEqual(len(set(addresses)), len(addresses))

    def test_only_the_one_that_ends_has_the_authority(self):
        having = {name for name, service in self.services.items()
                  if any(volume.startswith("authority:")
                         for volume in service.get("volumes", []))}
        self.assertEqual(having, {"setup"})

    def test_there_is_no_secret_in_it(self):
        for name, service in self.services.items():
            for variable in service.get("environment", {}):
                self.assertTrue("PASSWORD" not in variable or variable.endswith("_FILE"),
                                f"{name}: {variable}")
        for path in COMPOSE.iterdir():
            self.assertNotRegex(path.read_text(), r"BEGIN [A-Z ]*PRIVATE KEY|://\w+:\w+@")

    def test_docker_reads_it_as_we_do(self):
        docker = shutil.which("docker")
        if docker is None or subprocess.run(
                [docker, "compose", "version"], check=False, capture_output=True,
                timeout=20).returncode != 0:
            self.skipTest("docker compose is not installed")
        read = subprocess.run(
            [docker, "compose", "-f", COMPOSE / "compose.yaml", "config", "--format",
             "json"], check=False, capture_output=True, timeout=50)
        self.assertEqual(read.returncode, 0, read.stderr)
        self.assertEqual(set(json.loads(read.stdout)["services"]), set(self.services))


class Texts(unittest.TestCase):
    def test_scripts_are_without_mistakes(self):
        subprocess.run(["sh", "-n", COMPOSE / "setup.sh"], check=True, timeout=20)
        if shutil.which("shellcheck"):
            checked = subprocess.run(["shellcheck", COMPOSE / "setup.sh"], check=False,
                                     capture_output=True, text=True, timeout=50)
            self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_what_the_image_needs_is_in_the_tree(self):
        text = (COMPOSE / "Dockerfile").read_text()
        for line in re.findall(r"^(?:COPY|RUN) ((?:packaging|scripts)/\S+)", text,
                               re.MULTILINE):
            self.assertTrue((ROOT / line).is_file(), line)
        sections = (PACKAGING / "debian-packages.txt").read_text()
        for section in re.search(r"RUN scripts/install_packages.sh (.*)", text)[1].split():
            self.assertIn(f"[{section}]", sections)

    def test_each_option_exists(self):
        if TROUPE is None:
            self.skipTest("needs the program")
        found = 0
        known = {}
        for path in TEXTS:
            for subcommand, rest in SUBCOMMANDS.findall(path.read_text()):
                known.setdefault(subcommand, options_of(subcommand))
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest):
                    self.assertIn(option, known[subcommand], f"{path}: {subcommand}")
                    found += 1
        self.assertGreater(found, 10)

    def test_each_configuration_is_accepted(self):
        if TROUPE is None:
            self.skipTest("needs the program")
        self.assertEqual(len(CONFIGS), 6)
        for path in CONFIGS:
            checked = subprocess.run([TROUPE, "config", "check", "--config", path],
                                     check=False, capture_output=True, text=True,
                                     timeout=20)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), path)


class Units(unittest.TestCase):
    def test_systemd_accepts_them(self):
        systemd = shutil.which("systemd-analyze")
        if systemd is None:
            self.skipTest("systemd-analyze is not installed")
        self.assertEqual(len(UNITS), 3)
        for path in UNITS:
            with tempfile.TemporaryDirectory() as folder:
                unit = Path(folder, path.name)
                # It wants programs to be there.
                unit.write_text(path.read_text().replace("/usr/bin/troupe",
                                                         TROUPE or "/bin/true"))
                said = subprocess.run(
                    [systemd, "verify", "--man=no",
                     *(["--user"] if path.parent.name == "user" else []), unit],
                    check=False, capture_output=True, text=True, timeout=50,
                    env=os.environ | {"XDG_RUNTIME_DIR": folder})
                self.assertNotIn(path.stem, said.stderr)
                self.assertNotIn("Unknown", said.stderr)
                self.assertEqual(said.returncode, 0, said.stderr)

    def test_a_node_that_was_revoked_is_not_started_again(self):
        source = (ROOT / "cli/src/subcommand.hpp").read_text()
        status = re.search(r"\bexit_not_a_member = (\d+);", source)[1]
        for path in UNITS:
            unit = path.read_text()
            self.assertIn("\nRestart=always\n", unit, path)
            self.assertIn(f"\nRestartPreventExitStatus={status}\n", unit, path)

    def test_the_instance_is_the_name_of_the_node(self):
        unit = (PACKAGING / "systemd/troupe-node@.service").read_text()
        for name in ("n1", "n2", "n3"):
            words = re.search(r"^ExecStart=(.*)", unit, re.MULTILINE)[1].replace(
                "%i", name).split()
            options = dict(zip(words[2::2], words[3::2]))
            self.assertEqual(options["--config"], f"/etc/troupe/{name}.yaml")
            config = yaml.safe_load((PACKAGING / f"cluster/{name}.yaml").read_text())
            self.assertEqual(config["cluster-folder"], f"{options['--folder']}/cluster")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        TROUPE = sys.argv.pop(1)
    unittest.main()
