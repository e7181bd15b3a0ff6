//! Assets: registering, changing, listing. What a vm adds is in `vm`.

use super::{check, same_names, time, vm};
use crate::problem::Draft;
use hypermesh_mesh::{AssetChange, AssetFilter, NewAsset};
use hypermesh_model::{self as model, Package};
use hypermesh_wire::assets::{self as wire, AssetAllocation, CreateAsset, LocationInput, UpdateAsset};
use hypermesh_wire::{MAX_DESCRIPTION, MAX_NAME};

/// Longest address that an owner may give, in characters.
const MAX_ADDRESS: usize = 256;
/// Longest region name, in characters.
const MAX_REGION: usize = 128;
/// Longest owner to filter by, in characters.
const MAX_OWNER: usize = 128;

same_names!(asset_type: wire::AssetType => model::AssetType {
    Cpu, Gpu, Memory, Storage, Network, Service, Container, Vm, Application
});
same_names!(shown_type: model::AssetType => wire::AssetType {
    Cpu, Gpu, Memory, Storage, Network, Service, Container, Vm, Application
});
same_names!(registrable_type: wire::RegistrableAssetType => model::AssetType { Service, Container, Application });
same_names!(status: wire::AssetStatus => model::AssetStatus { Available, Allocated, Busy, Maintenance, Offline });
same_names!(shown_status: model::AssetStatus => wire::AssetStatus {
    Available, Allocated, Busy, Maintenance, Offline
});
same_names!(settable_status: wire::SettableAssetStatus => model::AssetStatus { Available, Maintenance, Offline });
same_names!(privacy: wire::PrivacyLevel => model::PrivacyLevel {
    Private, PrivateNetwork, P2p, PublicNetwork, FullPublic
});
same_names!(shown_privacy: model::PrivacyLevel => wire::PrivacyLevel {
    Private, PrivateNetwork, P2p, PublicNetwork, FullPublic
});

/// What a query selects.
pub(crate) fn filter(query: &wire::AssetQuery) -> Result<AssetFilter, Draft> {
    Ok(AssetFilter {
        asset_type: query.asset_type.map(asset_type),
        status: query.status.map(status),
        privacy_level: query.privacy_level.map(privacy),
        owner: check::optional_text("owner", query.owner.clone(), 0, MAX_OWNER)?,
    })
}

/// An asset to register.
pub(crate) fn new(body: CreateAsset) -> Result<NewAsset, Draft> {
    let (address, region) = location(body.location)?;
    Ok(NewAsset {
        asset_type: registrable_type(body.asset_type),
        name: check::text("name", body.name, 1, MAX_NAME)?,
        description: check::prose("description", body.description, MAX_DESCRIPTION)?,
        privacy_level: body.privacy_level.map(privacy).unwrap_or_default(),
        specifications: body.specifications,
        address,
        region,
    })
}

/// A change of an asset.
pub(crate) fn change(body: UpdateAsset) -> Result<AssetChange, Draft> {
    let (address, region) = location(body.location.unwrap_or_default())?;
    Ok(AssetChange {
        name: check::optional_text("name", body.name, 1, MAX_NAME)?,
        description: body
            .description
            .map(|text| check::prose("description", text, MAX_DESCRIPTION))
            .transpose()?,
        privacy_level: body.privacy_level.map(privacy),
        status: body.status.map(settable_status),
        specifications: body.specifications,
        address,
        region,
    })
}

fn location(body: LocationInput) -> Result<(Option<String>, Option<String>), Draft> {
    Ok((
        check::optional_text("location.address", body.address, 0, MAX_ADDRESS)?,
        check::optional_text("location.region", body.region, 0, MAX_REGION)?,
    ))
}

/// An asset as a caller sees it; `package` is the one that a vm runs.
pub(crate) fn shown(asset: model::Asset, package: Option<Package>) -> wire::Asset {
    wire::Asset {
        id: asset.id.into(),
        asset_type: shown_type(asset.asset_type),
        name: asset.name,
        description: asset.description,
        owner: asset.owner.0,
        status: shown_status(asset.status),
        privacy_level: shown_privacy(asset.privacy_level),
        location: wire::Location {
            node_id: asset.location.node_id.into(),
            address: asset.location.address,
            region: asset.location.region,
        },
        specifications: asset.specifications,
        allocation: AssetAllocation {
            total_capacity: asset.capacity.total,
            allocated_capacity: asset.capacity.allocated,
            available_capacity: asset.capacity.available,
            unit: asset.capacity.unit,
        },
        proxy_address: None,
        created_at: time(asset.created_at),
        updated_at: time(asset.updated_at),
        vm_config: asset.vm.as_ref().map(vm::shown_config),
        catalog_metadata: package.map(vm::shown_metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(name: &str, address: &str) -> Result<NewAsset, Draft> {
        let json = serde_json::json!({ "type": "service", "name": name, "location": { "address": address } });
        new(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn long_texts_are_refused_by_name() {
        assert!(create(&"é".repeat(128), "").is_ok());
        assert_eq!(create(&"é".repeat(129), "").err().unwrap().member(), Some("name"));
        assert_eq!(create("", "").err().unwrap().member(), Some("name"));
        assert_eq!(create("a", &"x".repeat(257)).err().unwrap().member(), Some("location.address"));
    }

    #[test]
    fn an_absent_member_stays_as_it_is() {
        let change = change(serde_json::from_str(r#"{"location":{"region":"eu"}}"#).unwrap()).unwrap();
        assert!(change.name.is_none() && change.address.is_none());
        assert_eq!(change.region.as_deref(), Some("eu"));
    }
}
