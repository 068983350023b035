//! What requests cost. Run by hand: `cargo test -p sampan-engine networks::process::tests::measure -- --ignored
//! --nocapture`.

use super::*;

#[test]
#[ignore = "prints times, promises nothing"]
fn times() {
    let host = Host::new("mm");
    let mut attach = Vec::new();
    let mut publish = Vec::new();
    let mut unpublish = Vec::new();
    let mut detach = Vec::new();
    for number in 0..200 {
        let namespace = Namespace::new();
        let socket: OwnedFd = namespace.run(|| {
            rustix::net::socket(rustix::net::AddressFamily::NETLINK, rustix::net::SocketType::RAW, None)
                .expect("a socket")
        });
        let file: OwnedFd = namespace.file.try_clone().expect("a descriptor").into();
        let id = format!("c{number}");
        attach.push(time(|| {
            host.call(&Request::Attach { id: id.clone(), team: "red".into() }, &[&file, &socket]);
        }));
        publish.push(time(|| drop(host.publish_as(&id, ANY, &[tcp(ANY, 20_000 + number)]).expect("published"))));
        unpublish.push(time(|| host.done(&Request::Unpublish { id: id.clone() })));
        detach.push(time(|| host.done(&Request::Detach { id: id.clone() })));
    }
    for (name, times) in [("attach", attach), ("publish", publish), ("unpublish", unpublish), ("detach", detach)] {
        let mut times = times;
        times.sort();
        eprintln!("{name}: median {:?}, min {:?}, p90 {:?}", times[100], times[0], times[180]);
    }
}

fn time(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}
