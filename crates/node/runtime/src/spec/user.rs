//! Who a container runs as: numbers from the pod's security context, the image's configuration and the image's
//! /etc/passwd and /etc/group, by containerd's rules (`pkg/oci/spec_opts.go`).
//!
//! A number that the image does not know is fine and gets group 0; a name that it does not know is an error.

use windlass_cri::{SecurityContext, SupplementalGroupsPolicy};

use crate::launch::spec::UserPlan;

/// Greatest user and group: runc's limit.
const ID_MAX: i64 = i32::MAX as i64;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserError {
    #[error("invalid USER value {0:?}: {1} out of range")]
    OutOfRange(String, &'static str),
    #[error("invalid USER value {0:?}")]
    Malformed(String),
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    #[error("user group \"{0}\" is specified without user")]
    GroupWithoutUser(i64),
}

/// The image's files, empty where it has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserFiles {
    pub(crate) passwd: String,
    pub(crate) group: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedUser {
    pub(crate) plan: UserPlan,
    /// The user's home directory; `/` without an entry.
    pub(crate) home: String,
}

/// `image_user` is `user`, `user:group` or empty, by names or numbers.
pub(crate) fn resolve(
    security: &SecurityContext,
    image_user: &str,
    files: &UserFiles,
) -> Result<ResolvedUser, UserError> {
    let wish = wish(security, image_user)?;
    let (user, group) = match wish.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wish.as_str(), None),
    };
    if group.is_some_and(|group| group.contains(':')) {
        return Err(UserError::Malformed(wish));
    }
    let entry;
    let uid = if user.is_empty() {
        entry = files.user(|entry| entry.uid == 0);
        0
    } else if let Some(uid) = number(user, &wish, "uid")? {
        entry = files.user(|entry| entry.uid == uid);
        uid
    } else {
        entry = files.user(|entry| entry.name == user);
        entry.as_ref().ok_or_else(|| UserError::NoUser(user.to_owned()))?.uid
    };
    let gid = match group {
        // Nobody said who it is, so nothing is looked up.
        None if user.is_empty() => 0,
        None => entry.as_ref().map_or(0, |entry| entry.gid),
        Some(group) => match number(group, &wish, "gid")? {
            Some(gid) => gid,
            None => files.group_number(group).ok_or_else(|| UserError::NoGroup(group.to_owned()))?,
        },
    };
    let mut groups: Vec<u32> = Vec::new();
    if security.supplemental_groups_policy == SupplementalGroupsPolicy::Merge
        && let Some(entry) = &entry
    {
        groups.extend(files.groups_of(entry.name));
    }
    for group in &security.supplemental_groups {
        groups.push(in_range(*group, &wish, "gid")?);
    }
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    let home = entry.map(|entry| entry.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(ResolvedUser { plan: UserPlan { uid, gid, groups }, home })
}

/// Who was asked for, in the image's notation.
fn wish(security: &SecurityContext, image_user: &str) -> Result<String, UserError> {
    let user = match security.run_as_user {
        Some(uid) => uid.to_string(),
        None => security.run_as_username.clone(),
    };
    match (user.is_empty(), security.run_as_group) {
        (true, None) => Ok(image_user.to_owned()),
        (true, Some(group)) => Err(UserError::GroupWithoutUser(group)),
        (false, None) => Ok(user),
        (false, Some(group)) => Ok(format!("{user}:{group}")),
    }
}

/// `None` for a name.
fn number(text: &str, wish: &str, what: &'static str) -> Result<Option<u32>, UserError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let number = text.parse::<i64>().map_err(|_| UserError::OutOfRange(wish.to_owned(), what))?;
    in_range(number, wish, what).map(Some)
}

fn in_range(number: i64, wish: &str, what: &'static str) -> Result<u32, UserError> {
    match number {
        0..=ID_MAX => Ok(number as u32),
        _ => Err(UserError::OutOfRange(wish.to_owned(), what)),
    }
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl UserFiles {
    fn user(&self, wanted: impl Fn(&PasswdEntry<'_>) -> bool) -> Option<PasswdEntry<'_>> {
        let entries = self.passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.trim().split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
            Some(PasswdEntry { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
        });
        entries.into_iter().find(wanted)
    }

    /// Name, number and members of each group.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some((name, gid, fields.next().unwrap_or_default()))
        })
    }

    fn group_number(&self, name: &str) -> Option<u32> {
        self.groups().find(|(known, ..)| *known == name).map(|(_, gid, _)| gid)
    }

    /// Groups that list the user as a member.
    fn groups_of(&self, user: &str) -> impl Iterator<Item = u32> {
        self.groups()
            .filter(move |(name, _, members)| *name != user && members.split(',').any(|member| member == user))
            .map(|(_, gid, _)| gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> UserFiles {
        UserFiles {
            passwd:
                "root:x:0:0:root:/root:/bin/sh\n# a comment\nweb:x:1000:1001:Web:/srv/web:/bin/sh\nodd:x:abc:1::/:\n"
                    .to_owned(),
            group: "root:x:0:\nweb:x:1001:web\nstaff:x:50:other,web\nwheel:x:10:root\nbroken\n".to_owned(),
        }
    }

    fn plan(uid: u32, gid: u32, groups: &[u32], home: &str) -> ResolvedUser {
        ResolvedUser { plan: UserPlan { uid, gid, groups: groups.to_vec() }, home: home.to_owned() }
    }

    #[test]
    fn the_image_decides_when_the_pod_says_nothing() {
        for (image, wanted) in [
            ("", plan(0, 0, &[0, 10], "/root")),
            ("0", plan(0, 0, &[0, 10], "/root")),
            ("web", plan(1000, 1001, &[50, 1001], "/srv/web")),
            ("1000", plan(1000, 1001, &[50, 1001], "/srv/web")),
            ("1000:7", plan(1000, 7, &[7, 50], "/srv/web")),
            ("web:staff", plan(1000, 50, &[50], "/srv/web")),
            ("4711", plan(4711, 0, &[0], "/")),
            ("4711:staff", plan(4711, 50, &[50], "/")),
        ] {
            assert_eq!(resolve(&SecurityContext::default(), image, &files()), Ok(wanted), "{image:?}");
        }
        let none = UserFiles::default();
        assert_eq!(resolve(&SecurityContext::default(), "", &none), Ok(plan(0, 0, &[0], "/")));
    }

    #[test]
    fn the_pod_overrides_the_image() {
        let security = SecurityContext {
            run_as_user: Some(1000),
            supplemental_groups: vec![60_000, 50],
            ..SecurityContext::default()
        };
        assert_eq!(resolve(&security, "root", &files()), Ok(plan(1000, 1001, &[50, 1001, 60_000], "/srv/web")));

        let strict = SecurityContext {
            supplemental_groups_policy: SupplementalGroupsPolicy::Strict,
            supplemental_groups: vec![60_000],
            run_as_group: Some(3),
            ..security
        };
        assert_eq!(resolve(&strict, "", &files()), Ok(plan(1000, 3, &[3, 60_000], "/srv/web")));

        let by_name = SecurityContext { run_as_username: "web".to_owned(), ..SecurityContext::default() };
        assert_eq!(resolve(&by_name, "0", &files()).unwrap().plan.uid, 1000);
    }

    #[test]
    fn errors() {
        let image = |user: &str| resolve(&SecurityContext::default(), user, &files()).unwrap_err().to_string();
        assert_eq!(image("nobody"), "unable to find user nobody: no matching entries in passwd file");
        assert_eq!(image("web:nogroup"), "unable to find group nogroup: no matching entries in group file");
        assert_eq!(image("-1"), "invalid USER value \"-1\": uid out of range");
        assert_eq!(image("0:99999999999999999999"), "invalid USER value \"0:99999999999999999999\": gid out of range");
        assert_eq!(image("a:b:c"), "invalid USER value \"a:b:c\"");
        let group_only = SecurityContext { run_as_group: Some(5), ..SecurityContext::default() };
        assert_eq!(resolve(&group_only, "web", &files()), Err(UserError::GroupWithoutUser(5)));
    }
}
