//! The book of invites and members, and its rules. Pure: no clock, no random, no file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{Listed, TrustError};
use crate::tls::{Members, Role, check_name};

/// More open invites than this are a mistake in somebody's loop.
const OPEN_INVITES: usize = 1_000;

/// Who may join, who has, and whether others can get here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// Where the TLS listener listens, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) listen: Option<String>,
    #[serde(default)]
    invites: Vec<Open>,
    #[serde(default)]
    members: Vec<Member>,
}

/// An invite that was not used yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    id: Uuid,
    role: Role,
    /// Of its secret, SHA-256. The secret has 256 random bits, so nobody finds it from this.
    hash: [u8; 32],
    made: Timestamp,
    expires: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    id: Uuid,
    name: String,
    role: Role,
    joined: Timestamp,
}

/// Who somebody becomes.
pub(super) struct NewMember {
    pub(super) id: Uuid,
    pub(super) role: Role,
}

impl Ledger {
    pub(super) fn members(&self) -> Members {
        self.members.iter().map(|member| member.id).collect()
    }

    pub(super) fn invite(
        &mut self,
        id: Uuid,
        role: Role,
        hash: [u8; 32],
        now: Timestamp,
        expires: Timestamp,
        replaces: bool,
    ) -> Result<(), TrustError> {
        if role == Role::Manager {
            return Err(TrustError::Invalid("expected the role worker, viewer or admin".to_owned()));
        }
        self.invites.retain(|open| open.expires > now);
        // One in the place of all others makes room itself.
        if self.invites.len() >= OPEN_INVITES && !replaces {
            let why = format!("{OPEN_INVITES} invites are open; `cube-tui token rotate` voids them all");
            return Err(TrustError::Invalid(why));
        }
        self.invites.push(Open { id, role, hash, made: now, expires });
        Ok(())
    }

    /// Uses an invite up. A name that is taken leaves it open.
    pub(super) fn join(
        &mut self,
        invite: Uuid,
        hash: [u8; 32],
        name: &str,
        member: Uuid,
        now: Timestamp,
    ) -> Result<NewMember, TrustError> {
        let at = self.invites.iter().position(|open| open.id == invite);
        let at = at.filter(|&at| {
            let open = &self.invites[at];
            bool::from(open.hash.ct_eq(&hash)) && open.expires > now
        });
        let at = at.ok_or(TrustError::NotInvited)?;
        check_name(name).map_err(TrustError::Invalid)?;
        let role = self.invites[at].role;
        if let Some(other) = self.members.iter().find(|member| member.name == name) {
            return Err(TrustError::NameTaken(name.to_owned(), other.role.name()));
        }
        self.invites.remove(at);
        self.members.push(Member { id: member, name: name.to_owned(), role, joined: now });
        Ok(NewMember { id: member, role })
    }

    /// Voids every open invite but this one.
    pub(super) fn rotate(&mut self, but: Option<Uuid>, now: Timestamp) -> usize {
        let is_other = |open: &Open| Some(open.id) != but;
        let open = self.invites.iter().filter(|open| open.expires > now && is_other(open)).count();
        self.invites.retain(|open| !is_other(open));
        open
    }

    /// Lets go of a member, or voids an invite. `who` is a name, an id, or the unique start of an id.
    pub(super) fn revoke(&mut self, who: &str, now: Timestamp) -> Result<Listed, TrustError> {
        let all = self.list(now);
        let listed = Listed::find(&all, who).ok_or_else(|| TrustError::Unknown(who.to_owned()))?;
        self.members.retain(|member| member.id != listed.id);
        self.invites.retain(|open| open.id != listed.id);
        Ok(listed.clone())
    }

    /// Members by name, then open invites.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Listed> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let members = members.into_iter().map(|member| Listed {
            id: member.id,
            name: member.name.clone(),
            role: member.role,
            since: member.joined,
            expires: None,
        });
        let open = self.invites.iter().filter(|open| open.expires > now).map(|open| Listed {
            id: open.id,
            name: String::new(),
            role: open.role,
            since: open.made,
            expires: Some(open.expires),
        });
        members.chain(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number << 96)
    }

    fn invited() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.invite(id(1), Role::Worker, [1; 32], at(0), at(60), false).unwrap();
        ledger
    }

    #[test]
    fn an_invite_is_good_once_for_its_secret_until_it_expires() {
        let not_invited = |ledger: &mut Ledger, invite, hash, now| {
            let before = ledger.clone();
            let refused = ledger.join(invite, hash, "box", id(9), at(now)).err();
            assert_eq!(refused, Some(TrustError::NotInvited));
            assert_eq!(*ledger, before, "nothing changed");
        };
        let mut ledger = invited();
        not_invited(&mut ledger, id(2), [1; 32], 1);
        not_invited(&mut ledger, id(1), [2; 32], 1);
        not_invited(&mut ledger, id(1), [1; 32], 60);
        assert_eq!(ledger.join(id(1), [1; 32], "box", id(9), at(59)).unwrap().role, Role::Worker);
        assert!(ledger.members().contains(id(9)));
        not_invited(&mut ledger, id(1), [1; 32], 59);
        let mut ledger = invited();
        assert_eq!(ledger.rotate(None, at(1)), 1);
        not_invited(&mut ledger, id(1), [1; 32], 1);
    }

    #[test]
    fn an_invite_in_the_place_of_all_others_is_made_where_no_other_is_and_stays() {
        let mut ledger = Ledger::default();
        for number in 1..=1_000 {
            ledger.invite(id(number), Role::Worker, [1; 32], at(0), at(60), false).unwrap();
        }
        assert!(ledger.invite(id(2_000), Role::Worker, [1; 32], at(1), at(60), false).is_err());
        ledger.invite(id(2_000), Role::Worker, [1; 32], at(1), at(60), true).unwrap();
        assert_eq!(ledger.rotate(Some(id(2_000)), at(1)), 1_000);
        assert_eq!(ledger.list(at(1)).iter().map(|open| open.id).collect::<Vec<_>>(), [id(2_000)]);
    }

    #[test]
    fn a_name_is_one_members_until_it_is_let_go_and_a_taken_one_costs_no_invite() {
        let mut ledger = invited();
        ledger.join(id(1), [1; 32], "box", id(9), at(1)).unwrap();
        ledger.invite(id(2), Role::Admin, [2; 32], at(1), at(60), false).unwrap();
        let taken = ledger.join(id(2), [2; 32], "box", id(10), at(2)).err().unwrap();
        assert_eq!(taken, TrustError::NameTaken("box".to_owned(), "worker"));
        assert!(matches!(ledger.join(id(2), [2; 32], "../x", id(10), at(2)), Err(TrustError::Invalid(_))));
        assert_eq!(ledger.revoke("box", at(2)).unwrap().id, id(9));
        assert!(!ledger.members().contains(id(9)));
        ledger.join(id(2), [2; 32], "box", id(10), at(2)).unwrap();
        assert!(ledger.members().contains(id(10)));
    }

    #[test]
    fn what_is_revoked_is_named_by_name_or_by_the_unique_start_of_an_id() {
        let mut ledger = invited();
        ledger.invite(id(0x1000), Role::Viewer, [2; 32], at(0), at(60), false).unwrap();
        for unknown in ["", "0000", "box", "00000002"] {
            assert!(matches!(ledger.revoke(unknown, at(1)), Err(TrustError::Unknown(_))), "{unknown:?}");
        }
        assert_eq!(ledger.revoke("00001000", at(1)).unwrap().role, Role::Viewer);
        assert_eq!(ledger.list(at(1)).len(), 1);
        assert_eq!(ledger.list(at(60)), [], "what has expired is not open");
    }

    #[test]
    fn nobody_is_invited_to_be_the_manager() {
        let mut ledger = Ledger::default();
        assert!(ledger.invite(id(1), Role::Manager, [1; 32], at(0), at(60), false).is_err());
    }
}
