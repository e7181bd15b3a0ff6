//! ACME's records as rows of our store.

use hypermesh_acme::{
    Account, AccountId, AccountKey, Authorization, AuthorizationId, Certificate, CertificateId, Order,
    OrderId,
};
use hypermesh_store::Record;
use serde::{Deserialize, Serialize};

macro_rules! rows {
    ($($row:ident of $record:ident, $key:ident: $field:ident, $table:literal;)*) => {$(
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(super) struct $row(pub(super) $record);

        impl Record for $row {
            const TABLE: &'static str = $table;
            type Key = $key;
            fn key(&self) -> $key {
                self.0.$field.clone()
            }
        }
    )*};
}

rows! {
    AccountRow of Account, AccountId: id, "acme_accounts";
    KeyRow of AccountKey, String: thumbprint, "acme_keys";
    OrderRow of Order, OrderId: id, "acme_orders";
    AuthorizationRow of Authorization, AuthorizationId: id, "acme_authorizations";
    CertificateRow of Certificate, CertificateId: id, "acme_certificates";
}
