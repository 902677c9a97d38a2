//! Walks over the states: whatever happens in whatever order, what protects a disk holds.

use proptest::prelude::*;

use super::*;

fn attempt(number: u64) -> Attempt {
    let now = Timestamp::UNIX_EPOCH;
    Attempt { number, installer: "noble".to_owned(), expires: now, armed: now, meaning: String::new() }
}

/// Every way there is, picked by a number; `None` where the state has no such way.
fn take(state: State, way: u8, number: u64) -> Option<Transition> {
    match (way, state) {
        (0, state) => state.idle().ok().map(|idle| idle.arm(attempt(number), "test")),
        (1, State::Armed(armed)) => Some(armed.boot("test")),
        (2, State::Armed(armed)) => Some(armed.expire()),
        (3, State::Booting(booting)) => Some(booting.answers_read()),
        (4, State::Installing(installing)) => installing.step("partitioning", None),
        (5, State::Installing(installing)) => Some(installing.finish()),
        (6, State::Installed(installed)) => Some(installed.verify(vec![])),
        (7, state) => Some(state.active()?.fail("test")),
        (8, State::Stalled(stalled)) => Some(stalled.resume()),
        (8, state) => Some(state.active()?.fall_silent()),
        (9, state) => state.disarm("test"),
        (10, State::Unknown(unknown)) => Some(unknown.declare()),
        (10, state) => state.forget(),
        (11, State::Booting(booting)) => Some(booting.answers_on_cd()),
        _ => None,
    }
}

proptest! {
    #[test]
    fn a_node_whose_answers_were_read_installs_again_only_after_a_person_armed_it(ways: Vec<u8>) {
        let (mut state, mut number, mut read) = (State::Disk(Disk {}), 0, false);
        for way in ways.into_iter().map(|way| way % 12) {
            let Some(step) = take(state.clone(), way, number + 1) else { continue };
            prop_assert_eq!(step.from(), &state);
            if way == 0 {
                number += 1;
                read = false;
            }
            read |= way == 3 || way == 11;
            state = step.to().clone();
            // These two are all that a boot request answers with an installer.
            let may_install = matches!(state, State::Armed(_) | State::Booting(_));
            prop_assert!(!(may_install && read), "{:?}", state);
            prop_assert!(!may_install || number > 0);
        }
    }

    #[test]
    fn a_state_survives_its_json(ways: Vec<u8>) {
        let mut state = State::Disk(Disk {});
        for way in ways.into_iter().map(|way| way % 12) {
            if let Some(step) = take(state.clone(), way, 1) {
                state = step.to().clone();
            }
            let json = serde_json::to_string(&state).unwrap();
            prop_assert!(json.starts_with(&format!("{{\"state\":\"{}\"", state.name())), "{}", json);
            prop_assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state.clone());
        }
    }
}

#[test]
fn nothing_is_armed_while_something_goes_on() {
    let armed = State::Armed(Armed { attempt: attempt(1) });
    let booting = State::Booting(Booting { attempt: attempt(1) });
    let installing = State::Installing(Installing { attempt: attempt(1), step: String::new(), said: None });
    for state in [armed, booting, installing, State::Unknown(Unknown {})] {
        assert!(state.clone().idle().is_err(), "{state:?}");
    }
}
