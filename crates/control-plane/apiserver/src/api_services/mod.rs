//! What runs beside the server for its APIServices: makes those of the groups that it serves itself ([`registration`], what to do with
//! one is [`automanaged`]'s matter), says which of the others can be asked ([`availability`]), and fetches what these say of themselves
//! ([`documents`]).

mod ask;
mod automanaged;
mod availability;
mod behind_service;
mod documents;
mod following;
mod registration;

use std::sync::Arc;

use windlass_api::well_known::group;
use windlass_auth::User;
use windlass_client::Client;

use crate::direct::Direct;
use crate::server::Server;
use availability::Availability;
use documents::Fetcher;
use registration::Registration;

/// Under this name upstream records what it writes to APIServices.
const MANAGER: &str = "kube-apiserver";

/// The APIServices of a server, looked after.
pub struct ApiServices {
    registration: Registration,
    availability: Availability,
    fetcher: Fetcher,
}

impl ApiServices {
    pub fn new(server: &Arc<Server>) -> Self {
        let user = User::new("system:apiserver", &[group::MASTERS]);
        let client = Client::new(Arc::new(Direct::new(server.clone(), user, MANAGER)));
        Self {
            registration: Registration::new(server, client.clone()),
            availability: Availability::new(server, client),
            fetcher: Fetcher::new(server),
        }
    }

    /// Looks after the APIServices, for ever.
    pub async fn keep(self) {
        futures::join!(self.registration.keep(), self.availability.keep(), self.fetcher.keep());
    }
}
