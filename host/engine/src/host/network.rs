//! The network of a guest: TCP to the hosts that its run was granted, and nothing else.
//!
//! Names are answered from the grants, since a worker has no resolver, and a connection is checked against the granted
//! addresses before any system call. What the guest asks for beyond that is an error to it (`access-denied`), no trap.

use crate::GrantedHost;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtxBuilder, async_trait};

use super::GuestState;

/// The interface that wasmtime-wasi would answer by the host's resolver.
const NAME_LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// Where a run may connect to. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants(Arc<[GrantedHost]>);

impl Grants {
    pub(crate) fn new(hosts: &[GrantedHost]) -> Self {
        Self(hosts.into())
    }

    /// The addresses of a host, by name or address, without brackets. None: it isn't granted.
    pub(crate) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for granted in self.0.iter().filter(|granted| granted.host.eq_ignore_ascii_case(host)) {
            addresses.extend(&granted.addresses);
        }
        addresses.dedup();
        addresses
    }

    /// The addresses of a host at a port.
    pub(crate) fn endpoints(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let is = |granted: &&GrantedHost| granted.port == port && granted.host.eq_ignore_ascii_case(host);
        let granted = self.0.iter().filter(is);
        granted
            .flat_map(|granted| &granted.addresses)
            .map(|&address| SocketAddr::new(address, port))
            .collect()
    }

    /// Whether a connection may go there.
    fn allow(&self, to: SocketAddr) -> bool {
        let ip = to.ip().to_canonical();
        self.0.iter().any(|granted| {
            granted.port == to.port() && granted.addresses.iter().any(|address| address.to_canonical() == ip)
        })
    }
}

/// Gives a guest its network.
pub(super) fn grant(wasi: &mut WasiCtxBuilder, grants: &Grants) {
    if grants.0.is_empty() {
        return;
    }
    let grants = grants.clone();
    wasi.allow_tcp(true).socket_addr_check(move |address, used| {
        let allowed = match used {
            SocketAddrUse::TcpConnect => grants.allow(address),
            // What connecting does by itself: any free port. Listening on it is denied.
            SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpListen
            | SocketAddrUse::TcpAccept
            | SocketAddrUse::UdpBind
            | SocketAddrUse::UdpSend
            | SocketAddrUse::UdpReceive => false,
        };
        Box::pin(std::future::ready(allowed))
    });
}

/// The answer to a look-up, given out one by one.
struct Addresses(std::vec::IntoIter<IpAddr>);

#[async_trait]
impl Pollable for Addresses {
    async fn ready(&mut self) {}
}

type Context<'a> = StoreContextMut<'a, GuestState>;

/// Replaces the look-up of names.
pub(super) fn link_name_lookup(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut instance = linker.instance(NAME_LOOKUP)?;
    instance.resource(
        "resolve-address-stream",
        ResourceType::host::<Addresses>(),
        |mut context: Context<'_>, handle| {
            context.data_mut().table.delete(Resource::<Addresses>::new_own(handle))?;
            Ok(())
        },
    )?;
    instance.func_wrap(
        "resolve-addresses",
        |mut context: Context<'_>, (network, name): (Resource<Network>, String)| {
            let state = context.data_mut();
            state.table.get(&network)?;
            let name = name.trim_start_matches('[').trim_end_matches(']');
            let addresses = match name.parse() {
                Ok(address) => vec![address],
                Err(_) => state.grants.addresses(name),
            };
            if addresses.is_empty() {
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            Ok((Ok(state.table.push(Addresses(addresses.into_iter()))?),))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut context: Context<'_>, (addresses,): (Resource<Addresses>,)| {
            let next = context.data_mut().table.get_mut(&addresses)?.0.next();
            Ok((Result::<Option<IpAddress>, ErrorCode>::Ok(next.map(IpAddress::from)),))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut context: Context<'_>, (addresses,): (Resource<Addresses>,)| {
            Ok((subscribe(&mut context.data_mut().table, addresses)?,))
                as wasmtime::Result<(Resource<DynPollable>,)>
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
