//! Hosts in network namespaces of their own, on one network with their clients and on another one among themselves. A host that is
//! cut off has lost its cable: what is sent to it is lost, and nobody is told.

use std::process::Command;

/// Hosts, inside of a namespace of networks and mounts that is ours alone and ends with its last process.
pub(crate) struct Network;

/// A network that a host can be cut off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cable {
    /// The one that clients are on.
    Clients,
    /// The one that the hosts have among themselves.
    Peers,
}

impl Network {
    pub(crate) fn new(hosts: usize) -> Self {
        ip("link set lo up");
        // Where `ip` keeps the names of namespaces.
        run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
        for cable in [Cable::Clients, Cable::Peers] {
            let name = cable.name();
            ip(&format!("link add {name} type bridge"));
            ip(&format!("link set {name} up"));
        }
        ip(&format!("addr add {}/24 dev {}", Cable::Clients.address(253), Cable::Clients.name()));
        for host in 0..hosts {
            ip(&format!("netns add h{host}"));
            ip(&format!("-n h{host} link set lo up"));
            for cable in [Cable::Clients, Cable::Peers] {
                let (name, address) = (cable.name(), cable.address(host));
                ip(&format!("link add {name}{host} type veth peer name {name} netns h{host}"));
                ip(&format!("link set {name}{host} master {name} up"));
                ip(&format!("-n h{host} addr add {address}/24 dev {name}"));
                ip(&format!("-n h{host} link set {name} up"));
            }
        }
        Self
    }

    /// The words that start a program on a host. They become that program: its process is theirs.
    pub(crate) fn on(&self, host: usize) -> Vec<String> {
        ["ip", "netns", "exec", &format!("h{host}")].map(str::to_owned).to_vec()
    }

    pub(crate) fn cut(&self, host: usize, cable: Cable) {
        ip(&format!("link set {}{host} down", cable.name()));
    }

    pub(crate) fn join(&self, host: usize, cable: Cable) {
        ip(&format!("link set {}{host} up", cable.name()));
    }
}

impl Cable {
    pub(crate) fn address(self, host: usize) -> String {
        let network = if self == Self::Clients { 77 } else { 78 };
        format!("10.{network}.0.{}", host + 1)
    }

    fn name(self) -> &'static str {
        if self == Self::Clients { "clients" } else { "peers" }
    }
}

fn ip(words: &str) {
    run("ip", &words.split(' ').collect::<Vec<_>>());
}

fn run(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("`{program}` cannot be run: {error}"));
    assert!(done.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}
