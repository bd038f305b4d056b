//! The kinds of keys that pods may ask for, and how such a key is made.

#![expect(clippy::disallowed_methods, reason = "keys are made of the kernel's random numbers")]

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::{PkiError, PrivateKey, key};

/// What a `podCertificate` source of a volume calls `keyType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    Rsa3072,
    Rsa4096,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
}

impl KeyType {
    pub const ALL: [Self; 6] =
        [Self::Rsa3072, Self::Rsa4096, Self::EcdsaP256, Self::EcdsaP384, Self::EcdsaP521, Self::Ed25519];

    /// The kind with this name in the API.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa3072 => "RSA3072",
            Self::Rsa4096 => "RSA4096",
            Self::EcdsaP256 => "ECDSAP256",
            Self::EcdsaP384 => "ECDSAP384",
            Self::EcdsaP521 => "ECDSAP521",
            Self::Ed25519 => "ED25519",
        }
    }
}

impl PrivateKey {
    /// A new key of a kind. An RSA key takes a processor for a second or more: call this where blocking is allowed.
    pub fn generate_of(kind: KeyType) -> Result<Self, PkiError> {
        let random = SystemRandom::new();
        let pkcs8 = match kind {
            KeyType::EcdsaP256 => return Self::generate(),
            KeyType::EcdsaP384 => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random);
                Zeroizing::new(made.map_err(|_| PkiError::Random)?.as_ref().to_vec())
            }
            KeyType::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                random.fill(&mut seed[..]).map_err(|_| PkiError::Random)?;
                key::ed25519_pkcs8(&seed[..])
            }
            KeyType::EcdsaP521 => {
                let made =
                    new_p521(&random)?.to_pkcs8_der().map_err(|error| PkiError::PrivateKey(error.to_string()))?;
                made.to_bytes()
            }
            KeyType::Rsa3072 => new_rsa(3072)?,
            KeyType::Rsa4096 => new_rsa(4096)?,
        };
        Self::from_pkcs8(pkcs8)
    }
}

/// Draws numbers until one is a scalar of the curve, which of 521 random bits all but a few in 2^260 are.
fn new_p521(random: &SystemRandom) -> Result<p521::SecretKey, PkiError> {
    let mut bytes = Zeroizing::new([0; 66]);
    loop {
        random.fill(&mut bytes[..]).map_err(|_| PkiError::Random)?;
        bytes[0] &= 1;
        if let Ok(key) = p521::SecretKey::from_slice(&bytes[..]) {
            return Ok(key);
        }
    }
}

fn new_rsa(bits: usize) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let unusable = |error: String| PkiError::PrivateKey(error);
    let key =
        rsa::PrivateKey::new(&mut Kernel(SystemRandom::new()), bits).map_err(|error| unusable(error.to_string()))?;
    let made = key.to_pkcs8_der().map_err(|error| unusable(error.to_string()))?;
    Ok(made.to_bytes())
}

/// The kernel's random numbers, for whom ring's interface does not suit.
struct Kernel(SystemRandom);

#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
struct NoRandom;

impl TryRng for Kernel {
    type Error = NoRandom;

    fn try_next_u32(&mut self) -> Result<u32, NoRandom> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandom> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        self.0.fill(bytes).map_err(|_| NoRandom)
    }
}

impl TryCryptoRng for Kernel {}
