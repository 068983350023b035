use super::CreateRequest;
use crate::doors::docker::error::DockerError;
use sampan_engine::containers::config::{AttachFlags, ContainerConfig, MountSource, Network, Security};

/// What docker CLI 28 sends for `docker run busybox true`, without its nulls.
fn sent_by_cli() -> serde_json::Value {
    serde_json::from_str(
        r#"{
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true,
        "AttachStderr": true, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": ["true"],
        "Image": "busybox", "Volumes": {}, "WorkingDir": "", "Labels": {},
        "HostConfig": {
            "Binds": [], "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}}, "NetworkMode": "default",
            "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false,
            "VolumeDriver": "", "ConsoleSize": [24, 80], "CgroupnsMode": "", "Dns": [], "DnsOptions": [],
            "DnsSearch": [], "IpcMode": "", "Cgroup": "", "OomScoreAdj": 0, "PidMode": "", "Privileged": false,
            "PublishAllPorts": false, "ReadonlyRootfs": false, "UTSMode": "", "UsernsMode": "", "ShmSize": 0,
            "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
            "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
            "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0,
            "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
            "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": -1, "OomKillDisable": false,
            "PidsLimit": 0, "Ulimits": [], "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
            "IOMaximumBandwidth": 0
        },
        "NetworkingConfig": {"EndpointsConfig": {"default": {"MacAddress": "", "NetworkID": "", "GwPriority": 0}}}
    }"#,
    )
    .unwrap()
}

fn read(change: impl FnOnce(&mut serde_json::Value)) -> Result<ContainerConfig, DockerError> {
    let mut sent = sent_by_cli();
    change(&mut sent);
    serde_json::from_value::<CreateRequest>(sent).unwrap().read(crate::doors::docker::version::NEWEST)
}

#[test]
fn the_plainest_run_asks_for_nothing_special() {
    let config = read(|_| ()).unwrap();
    let expected = ContainerConfig {
        image: "busybox".into(),
        command: Some(vec!["true".into()]),
        attach: AttachFlags { stdin: false, stdout: true, stderr: true },
        echo: config.echo.clone(),
        ..ContainerConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!(config.security, Security::default());
    let host = &config.echo.read()["HostConfig"];
    assert_eq!(host["NetworkMode"], "bridge");
    assert_eq!(host["LogConfig"]["Type"], "json-file");
    assert_eq!(host["ShmSize"], 64 << 20);
    assert_eq!(host["ConsoleSize"], serde_json::json!([24, 80]));
}

#[test]
fn much_that_can_be_asked_for_is_understood() {
    let config = read(|sent| {
        sent["Hostname"] = "web".into();
        sent["Entrypoint"] = serde_json::json!([""]);
        sent["Volumes"] = serde_json::json!({"/data": {}});
        sent["ExposedPorts"] = serde_json::json!({"80/tcp": {}});
        sent["StopTimeout"] = 3.into();
        let host = &mut sent["HostConfig"];
        host["NetworkMode"] = "none".into();
        host["AutoRemove"] = true.into();
        host["Dns"] = serde_json::json!(["1.1.1.1"]);
        host["ExtraHosts"] = serde_json::json!(["a:10.0.0.1", "b:host-gateway"]);
        host["Init"] = true.into();
        host["Memory"] = (64 << 20).into();
        host["OomScoreAdj"] = 5.into();
        host["ShmSize"] = 1024.into();
        sent["NetworkingConfig"] = serde_json::json!({"EndpointsConfig": {"none": {}}});
    })
    .unwrap();
    assert_eq!(config.hostname.as_deref(), Some("web"));
    assert_eq!(config.entrypoint, Some(vec![]));
    assert!(matches!(config.mounts[0].source, MountSource::Volume { name: None, .. }));
    assert_eq!(config.exposed_ports.len(), 1);
    assert_eq!(config.stop_timeout, Some(3));
    assert_eq!(config.network, Network::None);
    assert!(config.auto_remove && config.init);
    assert_eq!(config.limits.memory_bytes, Some(64 << 20));
    assert_eq!(config.limits.oom_score_adjust, Some(5));
    assert_eq!(config.shm_bytes, Some(1024));
}

#[test]
fn what_is_not_there_is_refused_by_its_name() {
    for (field, value) in [
        ("Links", serde_json::json!(["a:b"])),
        ("StorageOpt", serde_json::json!({"size": "1g"})),
        ("CgroupParent", "x".into()),
    ] {
        let error = read(|sent| sent["HostConfig"][field] = value).unwrap_err();
        assert_eq!(error, DockerError::unsupported(format!("HostConfig.{field} is not there yet")));
    }
    let error = read(|sent| sent["HostConfig"]["NetworkMode"] = "front".into()).unwrap_err();
    assert_eq!(error, DockerError::invalid("network front not found"));
    let error = read(|sent| {
        sent["NetworkingConfig"]["EndpointsConfig"]["default"]["Aliases"] = serde_json::json!(["db"]);
    });
    let alias = "network-scoped alias is supported only for containers in user defined networks";
    assert_eq!(error.unwrap_err(), DockerError::invalid(alias));
    let error = read(|sent| {
        sent["NetworkingConfig"]["EndpointsConfig"]["default"]["IPAMConfig"] =
            serde_json::json!({ "IPv4Address": "10.0.0.9" });
    });
    let address = "user specified IP address is supported on user defined networks only";
    assert_eq!(error.unwrap_err(), DockerError::invalid(address));
}

#[test]
fn what_makes_no_sense_is_refused() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change); 6] = [
        ("no image", |sent| sent["Image"] = "".into()),
        ("relative working directory", |sent| sent["WorkingDir"] = "a".into()),
        ("restart and remove", |sent| {
            sent["HostConfig"]["AutoRemove"] = true.into();
            sent["HostConfig"]["RestartPolicy"]["Name"] = "always".into();
        }),
        ("runtime", |sent| sent["HostConfig"]["Runtime"] = "runc".into()),
        ("ports in another's network", |sent| {
            sent["HostConfig"]["NetworkMode"] = "container:a".into();
            sent["HostConfig"]["PortBindings"] = serde_json::json!({"80/tcp": [{"HostPort": "1"}]});
            sent["NetworkingConfig"] = serde_json::json!({});
        }),
        ("hosts", |sent| sent["HostConfig"]["ExtraHosts"] = serde_json::json!(["a"])),
    ];
    for (name, change) in cases {
        assert_eq!(read(change).unwrap_err().status, 400, "{name}");
    }
}

#[test]
fn a_hardware_address_is_read_from_either_place() {
    let of =
        |text: &str| read(|sent| sent["NetworkingConfig"]["EndpointsConfig"]["default"]["MacAddress"] = text.into());
    assert_eq!(of("02:42:AC:11:00:0A").unwrap().mac, Some([2, 0x42, 0xac, 0x11, 0, 10]));
    assert_eq!(of("02-42-ac-11-00-09").unwrap().mac, Some([2, 0x42, 0xac, 0x11, 0, 9]));
    assert_eq!(read(|sent| sent["MacAddress"] = "02:42:ac:11:00:09".into()).unwrap().mac.map(|mac| mac[5]), Some(9));
    for wrong in
        ["01:42:ac:11:00:09", "00:00:00:00:00:00", "02:42:ac:11:00", "02:42:ac:11:00:9", "02:42:ac:11:00:+9", "x"]
    {
        assert_eq!(of(wrong).unwrap_err().status, 400, "{wrong}");
    }
    let both = read(|sent| {
        sent["MacAddress"] = "02:42:ac:11:00:08".into();
        sent["NetworkingConfig"]["EndpointsConfig"]["default"]["MacAddress"] = "02:42:ac:11:00:09".into();
    });
    assert!(both.unwrap_err().message.contains("must match"));
}
