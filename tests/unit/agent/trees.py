"""Roots of file systems as real boards show them: names, places, links and units of the kernels' files."""

from dataclasses import dataclass
from pathlib import Path

CPU = "sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class Tree:
    """A root to fill."""

    root: Path

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def link(self, path: str, target: str) -> None:
        """Link to `target`, which is given from the root; the link itself is relative."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * path.count("/")
        place.symlink_to(up + target)

    def device_tree(self, model: str, *compatible: str) -> None:
        folder = self.root / "sys/firmware/devicetree/base"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model").write_bytes(model.encode() + b"\0")
        (folder / "compatible").write_bytes(b"".join(name.encode() + b"\0" for name in compatible))
        self.link("proc/device-tree", "sys/firmware/devicetree/base")

    def policy(
        self, cpus: range, khz: int, governor: str = "ondemand", *, related: range | None = None
    ) -> None:
        """One clock domain; `related` names the processors that belong to it, those that are off too."""
        domain = related or cpus
        folder = f"{CPU}/cpufreq/policy{domain[0]}"
        self.write(f"{folder}/affected_cpus", " ".join(map(str, cpus)))
        self.write(f"{folder}/related_cpus", " ".join(map(str, domain)))
        self.write(f"{folder}/scaling_governor", governor)
        if cpus:
            self.write(f"{folder}/scaling_cur_freq", khz)
        for cpu in cpus:
            self.link(f"{CPU}/cpu{cpu}/cpufreq", folder)

    def zone(self, index: int, kind: str, millidegrees: int | None) -> None:
        """One thermal zone; None: its part of the chip is off, and the kernel gives no temperature."""
        folder = f"sys/devices/virtual/thermal/thermal_zone{index}"
        self.write(f"{folder}/type", kind)
        if millidegrees is not None:
            self.write(f"{folder}/temp", millidegrees)
        self.link(f"sys/class/thermal/thermal_zone{index}", folder)

    def cooler(self, index: int, kind: str, state: int, most: int = 3) -> None:
        folder = f"sys/devices/virtual/thermal/cooling_device{index}"
        self.write(f"{folder}/type", kind)
        self.write(f"{folder}/cur_state", state)
        self.write(f"{folder}/max_state", most)
        self.link(f"sys/class/thermal/cooling_device{index}", folder)

    def hwmon(self, index: int, name: str, device: str, files: dict[str, object]) -> None:
        folder = f"{device}/hwmon/hwmon{index}"
        for file, text in ({"name": name} | files).items():
            self.write(f"{folder}/{file}", text)
        self.link(f"sys/class/hwmon/hwmon{index}", folder)

    def devfreq(self, device: str, hertz: int, permille: int) -> None:
        name = device.rpartition("/")[2]
        self.write(f"{device}/load", permille)
        self.write(f"{device}/devfreq/{name}/cur_freq", hertz)
        self.link(f"{device}/devfreq/{name}/device", device)
        self.link(f"sys/class/devfreq/{name}", f"{device}/devfreq/{name}")

    def memory(self, available_kib: int) -> None:
        self.write("proc/meminfo", f"MemTotal:  8000000 kB\nMemAvailable: {available_kib} kB")
        self.write("proc/loadavg", "0.42 0.30 0.20 1/100 999")


def raspberry_pi_4(root: Path, flags: str = "0", alarm: int = 0) -> Tree:
    """A Pi 4 (a Pi 3 has the same files), Linux 5.15: the flags stand in sysfs, in hex without 0x."""
    tree = Tree(root)
    tree.device_tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711")
    tree.memory(2_000)
    tree.policy(range(4), 1_500_000)
    tree.zone(0, "cpu-thermal", 61_234)
    firmware = "sys/devices/platform/soc/soc:firmware"
    tree.write(f"{firmware}/get_throttled", flags)
    tree.hwmon(0, "cpu_thermal", "sys/devices/virtual/thermal/thermal_zone0", {"temp1_input": 61_234})
    tree.hwmon(1, "rpi_volt", f"{firmware}/raspberrypi-hwmon", {"in0_lcrit_alarm": alarm})
    return tree


def raspberry_pi_5(root: Path, alarm: int = 0) -> Tree:
    """A Pi 5, Linux 6.6: the node of the firmware has an address, and no flags in sysfs."""
    tree = Tree(root)
    tree.device_tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712")
    tree.memory(6_000)
    tree.policy(range(4), 2_400_000, "performance")
    tree.zone(0, "cpu-thermal", 55_100)
    tree.cooler(0, "pwm-fan", 2, 4)
    firmware = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware"
    tree.hwmon(0, "cpu_thermal", "sys/devices/virtual/thermal/thermal_zone0", {"temp1_input": 55_100})
    tree.hwmon(
        1, "rp1_adc", "sys/devices/platform/axi/1000120000.pcie/1f000c8000.adc", {"temp1_input": 60_000}
    )
    tree.hwmon(2, "rpi_volt", f"{firmware}/raspberrypi-hwmon", {"in0_lcrit_alarm": alarm})
    return tree


def jetson_nano(root: Path) -> Tree:
    """A Nano, JetPack 4.6 (Linux 4.9): its power chip is an IIO device."""
    tree = Tree(root)
    tree.device_tree(
        "NVIDIA Jetson Nano Developer Kit",
        "nvidia,p3449-0000-b00+p3448-0000-b00",
        "nvidia,jetson-nano",
        "nvidia,tegra210",
    )
    tree.write("etc/nv_tegra_release", "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref")
    tree.memory(1_000)
    tree.policy(range(4), 1_479_000, "schedutil")
    for index, (kind, temp) in enumerate(
        (("AO-therm", 44_500), ("CPU-therm", 36_500), ("GPU-therm", 34_000), ("PLL-therm", 33_500))
    ):
        tree.zone(index, kind, temp)
    tree.zone(4, "PMIC-Die", 100_000)
    tree.cooler(0, "pwm-fan", 1)
    tree.cooler(1, "thermal-cpufreq-0", 0)
    tree.cooler(2, "gpu-balanced", 0)
    tree.devfreq("sys/devices/57000000.gpu", 921_600_000, 318)
    chip = "sys/devices/7000c400.i2c/i2c-6/6-0040"
    tree.link("sys/bus/i2c/drivers/ina3221x/6-0040", chip)
    for channel, (name, milliwatts) in enumerate(
        (("POM_5V_IN", 2_875), ("POM_5V_GPU", 120), ("POM_5V_CPU", 640))
    ):
        tree.write(f"{chip}/iio:device0/rail_name_{channel}", name)
        tree.write(f"{chip}/iio:device0/in_power{channel}_input", milliwatts)
    _nvpmodel(tree, "nvpmodel_t210_jetson-nano.conf", {0: "MAXN", 1: "5W"}, chosen=1)
    return tree


def jetson_xavier(root: Path) -> Tree:
    """An AGX Xavier, JetPack 5 (Linux 5.10): two clusters, one of them off in its power mode."""
    tree = Tree(root)
    tree.device_tree("Jetson-AGX", "nvidia,p2972-0000", "nvidia,tegra194")
    tree.write("etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: generic")
    tree.memory(20_000)
    tree.policy(range(2), 1_190_400, "schedutil")
    tree.policy(range(2, 4), 2_265_600, "performance")
    tree.policy(range(0), 0, "schedutil", related=range(4, 6))
    tree.zone(0, "CPU-therm", 41_000)
    tree.zone(1, "GPU-therm", None)
    tree.zone(2, "AUX-therm", 39_000)
    tree.cooler(0, "cpufreq-cpu0", 0)
    tree.devfreq("sys/devices/17000000.gv11b", 114_750_000, 0)
    chip = "sys/devices/c240000.i2c/i2c-1/1-0040"
    tree.hwmon(3, "ina3221", chip, _ina3221({"GPU": (19_000, 20), "CPU": (19_000, 60), "NC": (0, 0)}))
    _nvpmodel(tree, "nvpmodel_t194.conf", {0: "MAXN", 3: "MODE_30W_ALL"}, chosen=3)
    return tree


def jetson_orin(root: Path, jetpack: int = 6) -> Tree:
    """An Orin Nano, JetPack 5 (Linux 5.10) or 6 (Linux 5.15): other names for zones and for the GPU."""
    tree = Tree(root)
    tree.device_tree(
        "NVIDIA Jetson Orin Nano Developer Kit",
        "nvidia,p3768-0000+p3767-0005",
        "nvidia,p3767-0005",
        "nvidia,tegra234",
    )
    release = "# R36 (release), REVISION: 4.3" if jetpack == 6 else "# R35 (release), REVISION: 3.1"
    tree.write("etc/nv_tegra_release", f"{release}, GCID: 38968081, BOARD: generic, EABI: aarch64")
    tree.memory(5_000)
    tree.policy(range(4), 1_510_400, "schedutil")
    tree.policy(range(4, 6), 729_600, "schedutil")
    zone = "{}-thermal" if jetpack == 6 else "{}-therm"
    names = ("cpu", "gpu", "soc0", "tj") if jetpack == 6 else ("CPU", "GPU", "SOC0", "tj")
    for index, (name, temp) in enumerate(zip(names, (50_125, 48_593, 49_000, 51_000), strict=True)):
        tree.zone(index, zone.format(name), temp)
    tree.zone(4, zone.format("cv0"), None)
    for index, kind in enumerate(
        ("cpufreq-cpu0", "cpufreq-cpu4", "pwm-fan", "cpu-throttle-alert", "gpu-throttle-alert")
    ):
        tree.cooler(index, kind, 1 if kind == "pwm-fan" else 0)
    gpu = "sys/devices/platform/bus@0/17000000.gpu" if jetpack == 6 else "sys/devices/platform/17000000.ga10b"
    tree.devfreq(gpu, 624_750_000, 734)
    tree.devfreq("sys/devices/platform/host1x/15340000.vic", 115_200_000, 0)
    chip = "sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040"
    watched = {"VDD_IN": (4_984, 1_856), "VDD_CPU_GPU_CV": (4_984, 640), "VDD_SOC": (4_976, 320)}
    tree.hwmon(1, "ina3221", chip, _ina3221(watched))
    events = {f"oc{event}_event_cnt": count for event, count in ((1, 0), (2, 15), (3, 37))}
    tree.hwmon(2, "soctherm_oc", "sys/devices/platform/soctherm-oc-event", events)
    _nvpmodel(tree, "nvpmodel_p3767_0003_super.conf", {0: "15W", 1: "25W", 2: "MAXN_SUPER"}, chosen=2)
    return tree


def x86_intel(root: Path, throttled: int = 0) -> Tree:
    """A PC with an Intel processor: a policy for each thread, and counters of thermal throttling."""
    tree = Tree(root)
    tree.memory(16_000)
    for cpu, khz in enumerate((3_400_000, 800_000)):
        tree.policy(range(cpu, cpu + 1), khz, "powersave")
        for place in ("core", "package"):
            tree.write(f"{CPU}/cpu{cpu}/thermal_throttle/{place}_throttle_count", throttled)
        tree.cooler(cpu, "Processor", 0)
    tree.cooler(2, "intel_powerclamp", -1, 50)
    tree.cooler(3, "TCC Offset", 3, 63)
    tree.zone(0, "acpitz", 27_800)
    tree.zone(1, "x86_pkg_temp", 47_000)
    sensors = {
        "temp1_label": "Package id 0",
        "temp1_input": 47_000,
        "temp2_label": "Core 0",
        "temp2_input": 45_000,
    }
    tree.hwmon(2, "coretemp", "sys/devices/platform/coretemp.0", sensors)
    return tree


def x86_amd(root: Path) -> Tree:
    """A server in a virtual machine's clothes: AMD, no cpufreq, the frequency only in /proc/cpuinfo."""
    tree = Tree(root)
    tree.memory(64_000)
    tree.write(
        "proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 3000.000\n\nprocessor\t: 1\ncpu MHz\t\t: 2000.000"
    )
    bus = "sys/devices/pci0000:00/0000:00:18.3"
    tree.hwmon(1, "k10temp", bus, {"temp1_label": "Tctl", "temp1_input": 48_500, "temp3_input": 51_250})
    tree.hwmon(2, "nvme", "sys/devices/pci0000:00/0000:00:01.1/nvme/nvme0", {"temp1_input": 70_000})
    return tree


def _ina3221(watched: dict[str, tuple[int, int]]) -> dict[str, object]:
    """Files of the chip: millivolts and milliamperes of each rail, then the sum, which is no rail."""
    files: dict[str, object] = {"in7_label": "sum of shunt voltages", "in7_input": 9, "curr4_input": 2_816}
    for channel, (name, (millivolts, milliamperes)) in enumerate(watched.items(), 1):
        files |= {
            f"in{channel}_label": name,
            f"in{channel}_input": millivolts,
            f"curr{channel}_input": milliamperes,
        }
    return files


def _nvpmodel(tree: Tree, file: str, modes: dict[int, str], chosen: int) -> None:
    lines = [
        f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1" for number, name in modes.items()
    ]
    tree.write(f"etc/nvpmodel/{file}", "\n".join([*lines, "< PM_CONFIG DEFAULT=0 >"]))
    tree.link("etc/nvpmodel.conf", f"etc/nvpmodel/{file}")
    tree.write("var/lib/nvpmodel/status", f"pmode:{chosen:04}")
