//! The `net` process on hosts of its own: each test has a network namespace as its host, one as the world outside, and
//! one for each container, and drives real traffic through them.
//!
//! The server runs in a thread with the uid and the two capabilities that keeper gives it. Dropping it does what a kill
//! does: nothing is put in order.

mod foreign;
mod isolation;
mod life;
mod ports;
mod reach;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::thread::{CapabilitySet, CapabilitySets};
use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::net::{Answer, Port, Protocol, Request};
use sampan_runtime::wire::socket::Connection;
use sampan_runtime::wire::spawner::Endpoint;

use super::arguments::Arguments;
use super::server::Server;
use crate::networks::netlink::{Batch, Socket, address, link, route};

/// Whom the server runs as.
const UID: u32 = 64_999;
/// The host's address towards the outside, and that of the outside.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// Another address of the host.
const SECOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// How long an answer that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// What did not answer within this time is not reachable.
const SHORT: Duration = Duration::from_millis(500);

/// A network namespace.
#[derive(Debug)]
struct Namespace {
    file: File,
}

impl Namespace {
    fn new() -> Self {
        let file = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
            File::open("/proc/thread-self/ns/net").expect("a namespace")
        });
        Self { file: file.join().expect("a thread") }
    }

    /// Runs `act` in a thread inside.
    fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("setns");
                act()
            });
            inside.join().expect("the thread inside")
        })
    }

    /// Sends netlink requests inside.
    fn route(&self, fill: impl FnOnce(&mut Batch) + Send) {
        self.run(|| {
            let mut batch = Batch::new();
            fill(&mut batch);
            Socket::route().expect("a socket").exchange(batch, |_, _| {}).expect("netlink");
        });
    }

    fn links(&self) -> Vec<link::Link> {
        self.run(|| {
            let (mut batch, mut links) = (Batch::new(), Vec::new());
            link::dump(&mut batch);
            let mut socket = Socket::route().expect("a socket");
            socket.exchange(batch, |kind, payload| links.extend(link::parse(kind, payload))).expect("links");
            links
        })
    }

    fn index(&self, name: &str) -> u32 {
        self.links().iter().find(|link| link.name == name).expect("the link").index
    }

    fn read(&self, path: &str) -> String {
        self.run(|| std::fs::read_to_string(path).expect("a file")).trim().to_owned()
    }

    /// What a server at this place says (who it is and whom it sees); waited for.
    fn ask(&self, protocol: Protocol, address: Ipv4Addr, port: u16) -> Option<String> {
        self.run(|| ask(protocol, SocketAddrV4::new(address, port), PATIENCE))
    }

    fn ask_tcp(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        self.ask(Protocol::Tcp, address, port)
    }

    fn ask_udp(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        self.ask(Protocol::Udp, address, port)
    }

    /// As [`Namespace::ask`], where nothing should answer.
    fn try_ask(&self, protocol: Protocol, address: Ipv4Addr, port: u16) -> Option<String> {
        self.run(|| ask(protocol, SocketAddrV4::new(address, port), SHORT))
    }

    fn try_tcp(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        self.try_ask(Protocol::Tcp, address, port)
    }

    fn try_udp(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        self.try_ask(Protocol::Udp, address, port)
    }
}

fn ask(protocol: Protocol, address: SocketAddrV4, patience: Duration) -> Option<String> {
    if protocol == Protocol::Udp {
        let socket = UdpSocket::bind((ANY, 0)).ok()?;
        socket.connect(address).ok()?;
        return ask_by(&socket, patience);
    }
    let mut text = String::new();
    let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(address), patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Sends until something answers.
fn ask_by(socket: &UdpSocket, patience: Duration) -> Option<String> {
    let mut bytes = [0; 256];
    let deadline = Instant::now() + patience;
    socket.set_read_timeout(Some(SHORT)).ok()?;
    loop {
        // A refusal by ICMP is told at the next call.
        let sent = socket.send(b"who");
        match sent.and_then(|_| socket.recv(&mut bytes)) {
            Ok(length) => return Some(String::from_utf8_lossy(&bytes[..length]).into_owned()),
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return None,
        }
    }
}

/// A server in a namespace that answers "NAME sees ADDRESS", TCP and UDP on one port.
#[derive(Debug)]
struct Answering {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn start(namespace: &Namespace, name: &str, address: Ipv4Addr, port: u16) -> Self {
        let name = name.to_owned();
        let (tcp, udp) = namespace.run(|| {
            let tcp = TcpListener::bind((address, port)).expect("a port");
            tcp.set_nonblocking(true).expect("nonblocking");
            let udp = UdpSocket::bind((address, port)).expect("a port");
            udp.set_nonblocking(true).expect("nonblocking");
            (tcp, udp)
        });
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                if let Ok((mut stream, peer)) = tcp.accept() {
                    let _ = stream.write_all(format!("{name} sees {}", peer.ip()).as_bytes());
                }
                let mut bytes = [0; 16];
                if let Ok((_, peer)) = udp.recv_from(&mut bytes) {
                    let _ = udp.send_to(format!("{name} sees {}", peer.ip()).as_bytes(), peer);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A container: a namespace with an endpoint, and a server on port 80.
#[derive(Debug)]
struct Container {
    id: String,
    namespace: Namespace,
    endpoint: Endpoint,
    _server: Answering,
}

/// A host with a `net` process, and the world outside it.
#[derive(Debug)]
struct Host {
    namespace: Namespace,
    outside: Namespace,
    folder: tempfile::TempDir,
    instance: String,
    most_endpoints: usize,
    net: Option<Net>,
}

#[derive(Debug)]
struct Net {
    stop: OwnedFd,
    thread: JoinHandle<()>,
    connection: Connection,
}

impl Host {
    /// A host without `net`.
    fn bare(instance: &str) -> Self {
        let (namespace, outside) = (Namespace::new(), Namespace::new());
        let folder = folder();
        // A new namespace takes this over from the machine that the tests run on.
        namespace.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("a parameter"));
        outside.route(|batch| link::bring_up(batch, "lo"));
        namespace.route(|batch| {
            link::bring_up(batch, "lo");
            link::add_bridge(batch, "second0", [2, 0, 0, 0, 0, 7], 1500);
            link::bring_up(batch, "second0");
            let pair = link::VethPair {
                name: "uplink0",
                bridge: 0,
                peer: "eth0",
                peer_mac: [2, 0, 0, 0, 0, 9],
                namespace: outside.file.as_fd(),
                mtu: 1400,
            };
            link::add_veth(batch, &pair);
        });
        let (uplink, second) = (namespace.index("uplink0"), namespace.index("second0"));
        namespace.route(|batch| {
            address::add(batch, address::Address { index: uplink, address: HOST, prefix: 24 });
            address::add(batch, address::Address { index: second, address: SECOND, prefix: 24 });
            route::add_default(batch, OUTSIDE, uplink);
        });
        let far = outside.index("eth0");
        outside.route(|batch| {
            link::bring_up(batch, "eth0");
            address::add(batch, address::Address { index: far, address: OUTSIDE, prefix: 24 });
            route::add_default(batch, HOST, far);
        });
        Self { namespace, outside, folder, instance: instance.to_owned(), most_endpoints: 1000, net: None }
    }

    /// Another instance on this host, without `net`.
    fn beside(&self, instance: &str) -> Self {
        let clone = |namespace: &Namespace| Namespace { file: namespace.file.try_clone().expect("a descriptor") };
        let (namespace, outside) = (clone(&self.namespace), clone(&self.outside));
        Self { namespace, outside, folder: folder(), instance: instance.to_owned(), most_endpoints: 1000, net: None }
    }

    /// A host whose `net` runs.
    fn new(instance: &str) -> Self {
        let mut host = Self::bare(instance);
        host.start_net();
        host
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn start_net(&mut self) {
        let arguments = [
            "--state-root",
            &self.root().display().to_string(),
            "--instance",
            &self.instance,
            "--uid",
            &UID.to_string(),
            "--http",
            "127.0.0.1:7070,0.0.0.0:7443",
        ];
        let mut arguments = Arguments::parse(arguments.map(Into::into)).expect("arguments");
        arguments.most_endpoints = self.most_endpoints;
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let file = self.namespace.file.try_clone().expect("a descriptor");
        let thread = std::thread::spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).expect("setns");
            drop(file);
            become_net();
            let server = Server::start(arguments).expect("a server");
            server.serve(Some(reader.as_fd())).expect("serving");
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        let connection = loop {
            match Connection::connect(&self.root().join("net.sock")) {
                Ok(connection) => break connection,
                Err(error) => assert!(Instant::now() < deadline, "net does not listen: {error}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.net = Some(Net { stop: writer, thread, connection });
        assert_eq!(self.call(&Request::Hello { version: VERSION }, &[]), Answer::Welcome { version: VERSION });
    }

    /// As a kill: nothing is put in order.
    fn kill_net(&mut self) {
        if let Some(net) = self.net.take() {
            drop(net.stop);
            let ended = net.thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the server ended badly");
        }
    }

    fn call(&self, request: &Request, descriptors: &[&OwnedFd]) -> Answer {
        let net = self.net.as_ref().expect("net runs");
        let descriptors: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        net.connection.send(request, &descriptors).expect("a request");
        net.connection.receive().expect("an answer").expect("an answer").0
    }

    fn attach(&self, id: &str, team: &str, namespace: &Namespace) -> Answer {
        let socket: OwnedFd = namespace.run(|| {
            rustix::net::socket(rustix::net::AddressFamily::NETLINK, rustix::net::SocketType::RAW, None)
                .expect("a socket")
        });
        let file: OwnedFd = namespace.file.try_clone().expect("a descriptor").into();
        self.call(&Request::Attach { id: id.to_owned(), team: team.to_owned(), mac: None }, &[&file, &socket])
    }

    /// A container of a team, called and answering by its id.
    fn container(&self, id: &str, team: &str) -> Container {
        let namespace = Namespace::new();
        let Answer::Attached(endpoint) = self.attach(id, team, &namespace) else { panic!("not attached") };
        let server = Answering::start(&namespace, id, ANY, 80);
        Container { id: id.to_owned(), namespace, endpoint, _server: server }
    }

    fn publish(&self, container: &Container, ports: &[Port]) -> Result<Vec<Port>, String> {
        self.publish_as(&container.id, container.endpoint.address, ports)
    }

    fn publish_as(&self, id: &str, address: Ipv4Addr, ports: &[Port]) -> Result<Vec<Port>, String> {
        match self.call(&Request::Publish { id: id.to_owned(), address, ports: ports.to_vec() }, &[]) {
            Answer::Published { ports } => Ok(ports),
            Answer::Refused(refusal) => Err(format!("{:?}: {}", refusal.kind, refusal.message)),
            other => panic!("{other:?}"),
        }
    }

    fn done(&self, request: &Request) {
        assert_eq!(self.call(request, &[]), Answer::Done, "{request:?}");
    }

    fn detach(&self, container: &Container) {
        self.done(&Request::Detach { id: container.id.clone() });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill_net();
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::chown(folder.path(), Some(UID), Some(UID)).expect("chown");
    folder
}

/// Gives this thread the identity that keeper gives to `net`.
fn become_net() {
    let wanted = CapabilitySet::NET_ADMIN | CapabilitySet::NET_BIND_SERVICE;
    rustix::thread::set_keep_capabilities(true).expect("keep capabilities");
    let (uid, gid) = (rustix::process::Uid::from_raw(UID), rustix::process::Gid::from_raw(UID));
    rustix::thread::set_thread_groups(&[]).expect("groups");
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("gid");
    rustix::thread::set_thread_res_uid(uid, uid, uid).expect("uid");
    let sets = CapabilitySets { effective: wanted, permitted: wanted, inheritable: wanted };
    rustix::thread::set_capabilities(None, sets).expect("capabilities");
}

fn port(host_address: Ipv4Addr, host_port: u16, container_port: u16, protocol: Protocol) -> Port {
    Port { host_address, host_port, container_port, protocol }
}

fn tcp(host_address: Ipv4Addr, host_port: u16) -> Port {
    port(host_address, host_port, 80, Protocol::Tcp)
}

fn udp(host_address: Ipv4Addr, host_port: u16) -> Port {
    port(host_address, host_port, 80, Protocol::Udp)
}

fn says(name: &str, seen: Ipv4Addr) -> Option<String> {
    Some(format!("{name} sees {seen}"))
}
