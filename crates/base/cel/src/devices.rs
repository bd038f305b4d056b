//! The expressions that select devices: what they may name, and how large that may be.
//!
//! Source: dynamic-resource-allocation `cel/compile.go`, with the features that v1.37 has on.

use std::sync::{Arc, LazyLock};

use crate::admission::types::object;
use crate::env::Env;
use crate::library::Mode;
use crate::schema::Sizes;
use crate::types::{LibraryType, Type};

/// What a selector may cost, by its estimate and when it runs.
pub const SELECTOR_COST_MAX: u64 = 1_000_000;

const DEVICE: &str = "device";

/// For the selectors of DeviceClasses and of requests for devices.
pub fn device_env(mode: Mode) -> Env {
    Env::new(mode).variable(DEVICE, DEVICE_TYPE.clone()).sizes(Arc::new(DeviceSizes)).bindings()
}

/// Whether a selector may have values of this type. What an attribute is shows when the selector runs.
pub fn is_selector(of: &Type) -> bool {
    matches!(of, Type::Bool | Type::Dyn)
}

static DEVICE_TYPE: LazyLock<Type> = LazyLock::new(|| {
    // By domain, then by identifier.
    let qualified = |of| Type::map(Type::String, Type::map(Type::String, of));
    object(
        "kubernetes.DRADevice",
        [
            ("driver", Type::String),
            ("allowMultipleAllocations", Type::Bool),
            ("attributes", qualified(Type::Dyn)),
            ("capacity", qualified(Type::Library(LibraryType::Quantity))),
        ],
    )
});

const DRIVER_MAX: u64 = 63;
const DOMAIN_MAX: u64 = 63;
const IDENTIFIER_MAX: u64 = 32;
const ENTRIES_MAX: u64 = 32;
const ATTRIBUTE_MAX: u64 = 64;

/// How large a device may be.
#[derive(Debug)]
struct DeviceSizes;

impl Sizes for DeviceSizes {
    fn size_max(&self, path: &[&str]) -> Option<u64> {
        const ELEMENTS: [&str; 2] = ["@items", "@values"];
        let (first, rest) = path.split_first()?;
        if *first != DEVICE {
            return None;
        }
        match rest {
            [] => Some(0),
            ["driver"] => Some(DRIVER_MAX),
            ["allowMultipleAllocations"] => Some(1),
            ["attributes" | "capacity"] => Some(ENTRIES_MAX),
            ["attributes" | "capacity", "@keys"] => Some(DOMAIN_MAX),
            ["attributes" | "capacity", domain] if ELEMENTS.contains(domain) => Some(ENTRIES_MAX),
            ["attributes" | "capacity", domain, "@keys"] if ELEMENTS.contains(domain) => Some(IDENTIFIER_MAX),
            // An attribute that is selected by its name is as large as any.
            ["attributes", domain, _] if ELEMENTS.contains(domain) => Some(ATTRIBUTE_MAX),
            ["capacity", domain, of] if ELEMENTS.contains(domain) && ELEMENTS.contains(of) => Some(0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let env = device_env(Mode::New);
        for text in [
            "device.driver == 'a.example.com'",
            "device.attributes['a.example.com'].healthy",
            "device.capacity['a.example.com'].memory.compareTo(quantity('10Gi')) >= 0",
            "device.allowMultipleAllocations && 'a' in device.attributes['b']",
            "cel.bind(own, device.attributes['a.example.com'], own.one && own.two == 'x')",
        ] {
            let expression = env.compile(text).unwrap();
            assert!(is_selector(expression.output_type()), "{text}");
            let cost = expression.estimate().max;
            assert!(cost > 0 && cost < 1000, "{text} costs {cost}");
        }
        assert!(!is_selector(env.compile("device.driver").unwrap().output_type()));
        assert!(env.compile("device.model == 'x'").is_err());
        assert!(env.compile("cel.bind(a.b, 1, true)").unwrap_err().to_string().contains("must be simple identifiers"));
        assert!(Env::new(Mode::New).compile("cel.bind(a, 1, a == 1)").is_err(), "only devices have it");
    }
}
