//! Exact lines, and that what is unknown is absent.

use super::*;
use crate::Metrics;

fn full() -> GpuSample {
    GpuSample {
        index: 1,
        uuid: Some(GpuUuid("GPU-c2f7".into())),
        pci_bus_id: Some("00000000:31:00.0".into()),
        minor: Some(4),
        model: Some("NVIDIA L4".into()),
        hostname: Some("host".into()),
        driver_version: Some("580.105.08".into()),
        mig: None,
        sm_clock_mhz: Some(210),
        memory_clock_mhz: Some(405),
        memory_temperature_celsius: Some(41),
        temperature_celsius: Some(40),
        power_watts: Some(11.5),
        energy_millijoules: Some(9_000_000_000),
        pcie_replays: Some(2),
        utilization_percent: Some(33.0),
        memory_utilization_percent: Some(12.0),
        encoder_percent: Some(0),
        decoder_percent: Some(1),
        last_xid: Some(79),
        memory_free: Some(Bytes::mib(22_000)),
        memory_used: Some(Bytes(Bytes::MIB * 500 + 1)),
        memory_reserved: Some(Bytes::mib(566)),
    }
}

fn lines(metrics: &Metrics) -> Vec<String> {
    metrics.encode().lines().filter(|line| line.starts_with("DCGM_")).map(str::to_owned).collect()
}

#[test]
fn every_number_has_the_exporters_name_unit_and_labels() {
    let metrics = Metrics::new();
    metrics.set_gpus(vec![full()]);
    let labels = r#"gpu="1",UUID="GPU-c2f7",pci_bus_id="00000000:31:00.0",device="nvidia4",modelName="NVIDIA L4",Hostname="host",DCGM_FI_DRIVER_VERSION="580.105.08""#;
    let expected = [
        ("SM_CLOCK", "210"),
        ("MEM_CLOCK", "405"),
        ("MEMORY_TEMP", "41"),
        ("GPU_TEMP", "40"),
        ("POWER_USAGE", "11.5"),
        ("TOTAL_ENERGY_CONSUMPTION", "9000000000"),
        ("PCIE_REPLAY_COUNTER", "2"),
        ("GPU_UTIL", "33.0"),
        ("MEM_COPY_UTIL", "12.0"),
        ("ENC_UTIL", "0"),
        ("DEC_UTIL", "1"),
        ("XID_ERRORS", "79"),
        ("FB_FREE", "22000"),
        ("FB_USED", "500"),
        ("FB_RESERVED", "566"),
    ]
    .map(|(name, value)| format!("DCGM_FI_DEV_{name}{{{labels}}} {value}"));
    assert_eq!(lines(&metrics), expected);
    assert!(metrics.encode().contains("# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION unknown\n"));
}

#[test]
fn a_mig_instance_is_a_row_of_its_own() {
    let metrics = Metrics::new();
    let gpu = GpuSample {
        uuid: Some(GpuUuid("GPU-a".into())),
        memory_used: Some(Bytes(0)),
        ..GpuSample::default()
    };
    let instance =
        |n| GpuSample { mig: Some(MigLabels { profile: "1g.5gb".into(), gpu_instance: n }), ..gpu.clone() };
    metrics.set_gpus(vec![instance(13), gpu.clone(), instance(7), instance(13)]);
    let row = |mig| format!("DCGM_FI_DEV_FB_USED{{gpu=\"0\",UUID=\"GPU-a\"{mig}}} 0");
    assert_eq!(
        lines(&metrics),
        [
            row(""),
            row(r#",GPU_I_PROFILE="1g.5gb",GPU_I_ID="7""#),
            row(r#",GPU_I_PROFILE="1g.5gb",GPU_I_ID="13""#),
        ]
    );
}

#[test]
fn what_the_driver_does_not_say_is_absent() {
    let metrics = Metrics::new();
    metrics.set_gpus(vec![GpuSample { utilization_percent: Some(f64::NAN), ..GpuSample::default() }]);
    assert!(!metrics.encode().contains("DCGM_"));
    metrics.set_gpus(vec![GpuSample { encoder_percent: Some(0), ..GpuSample::default() }]);
    assert_eq!(lines(&metrics), ["DCGM_FI_DEV_ENC_UTIL{gpu=\"0\"} 0"]);
    metrics.set_gpus(Vec::new());
    assert!(!metrics.encode().contains("DCGM_"));
}
