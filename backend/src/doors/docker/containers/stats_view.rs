//! A reading in the shape of Docker's statistics. Clients make percentages of two readings: the one before comes along
//! as `precpu_stats`.

use sampan_engine::stats::Sample;
use serde_json::{Map, Value, json};

use crate::doors::docker::times;

/// One line of `stats`. Without a reading before, its place is zeros.
pub fn line(id: &str, name: &str, now: &Sample, before: Option<&Sample>) -> Value {
    let mut networks = Map::new();
    for interface in &now.networks {
        networks.insert(
            interface.name.clone(),
            json!({
                "rx_bytes": interface.received_bytes,
                "rx_packets": interface.received_packets,
                "rx_errors": 0,
                "rx_dropped": interface.received_dropped,
                "tx_bytes": interface.sent_bytes,
                "tx_packets": interface.sent_packets,
                "tx_errors": 0,
                "tx_dropped": interface.sent_dropped,
            }),
        );
    }
    let mut line = json!({
        "id": id,
        "name": format!("/{name}"),
        "read": times::rfc3339(now.at_ns),
        "preread": times::rfc3339_or_never(before.map(|sample| sample.at_ns)),
        "pids_stats": pids(now),
        "blkio_stats": block_io(now),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": before.map_or_else(|| cpu(&Sample::default()), cpu),
        "memory_stats": {
            "usage": now.memory_bytes,
            "max_usage": now.memory_peak_bytes,
            "stats": { "inactive_file": now.memory_inactive_file_bytes },
            "limit": now.memory_limit_bytes,
        },
    });
    if !networks.is_empty() {
        line["networks"] = Value::Object(networks);
    }
    line
}

/// What dockerd answers for a container that does not run.
pub fn idle(id: &str, name: &str) -> Value {
    json!({
        "id": id,
        "name": format!("/{name}"),
        "read": times::NEVER,
        "preread": times::NEVER,
        "pids_stats": {},
        "blkio_stats": {
            "io_service_bytes_recursive": null, "io_serviced_recursive": null, "io_queue_recursive": null,
            "io_service_time_recursive": null, "io_wait_time_recursive": null, "io_merged_recursive": null,
            "io_time_recursive": null, "sectors_recursive": null,
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(&Sample::default()),
        "precpu_stats": cpu(&Sample::default()),
        "memory_stats": {},
    })
}

fn cpu(sample: &Sample) -> Value {
    let mut cpu = json!({
        "cpu_usage": {
            "total_usage": sample.cpu_ns,
            "usage_in_kernelmode": sample.cpu_system_ns,
            "usage_in_usermode": sample.cpu_user_ns,
        },
        "throttling_data": {
            "periods": 0,
            "throttled_periods": sample.throttled_periods,
            "throttled_time": sample.throttled_ns,
        },
    });
    if sample.host_cpu_ns > 0 {
        cpu["system_cpu_usage"] = json!(sample.host_cpu_ns);
        cpu["online_cpus"] = json!(sample.online_cpus);
    }
    cpu
}

fn pids(sample: &Sample) -> Value {
    // Docker writes "no limit" as the greatest number.
    let limit = if sample.pids_limit == 0 { u64::MAX } else { sample.pids_limit };
    json!({ "current": sample.pids, "limit": limit })
}

fn block_io(sample: &Sample) -> Value {
    let entry = |op: &str, value: u64| json!({ "major": 0, "minor": 0, "op": op, "value": value });
    json!({
        "io_service_bytes_recursive": [entry("read", sample.block_read_bytes), entry("write", sample.block_write_bytes)],
        "io_serviced_recursive": null,
        "io_queue_recursive": null,
        "io_service_time_recursive": null,
        "io_wait_time_recursive": null,
        "io_merged_recursive": null,
        "io_time_recursive": null,
        "sectors_recursive": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readings_give_docker_its_percentage() {
        let before = Sample { cpu_ns: 100, host_cpu_ns: 1000, online_cpus: 2, ..Sample::default() };
        let now = Sample { cpu_ns: 150, host_cpu_ns: 1200, online_cpus: 2, ..Sample::default() };
        let line = line("i", "web", &now, Some(&before));

        // As docker/cli computes it: (cpu delta / system delta) * CPUs * 100.
        let number = |part: &str, field: &str| match field {
            "total" => line[part]["cpu_usage"]["total_usage"].as_u64().unwrap(),
            _ => line[part]["system_cpu_usage"].as_u64().unwrap(),
        };
        let cpu = number("cpu_stats", "total") - number("precpu_stats", "total");
        let host = number("cpu_stats", "host") - number("precpu_stats", "host");
        assert_eq!(cpu * 2 * 100 / host, 50);
        assert_eq!(line["name"], "/web");
    }

    #[test]
    fn without_a_limit_of_processes_the_greatest_number_stands() {
        let line = line("i", "web", &Sample { pids: 3, ..Sample::default() }, None);
        assert_eq!(line["pids_stats"]["limit"], u64::MAX);
        assert_eq!(line["preread"], times::NEVER);
        assert!(line.get("networks").is_none());
    }
}
