//! Which one is meant, where a file holds a backbone more than once: raw weights and their average, a student and its teacher,
//! an encoder and its momentum copy.
//!
//! What a file's authors evaluate is not in the file. So nothing is chosen that would make a difference: whoever writes the
//! experiment is told what there is and which of it the field takes as a rule.

use crate::select::AuditError;

/// What tells two tensors apart: a digest of type, shape and numbers.
pub type Print = (u64, u64);

/// A place in a file that holds a backbone, or most of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Key of the dict, where the file has dicts.
    pub container: Option<String>,
    /// Beginning of the names there.
    pub prefix: String,
    /// Tensors of the backbone that are there.
    pub present: usize,
}

/// A place that a backbone may be meant to be taken from, with the prints of its tensors in the order in which they are wanted.
pub struct Rival {
    pub choice: Choice,
    pub prints: Vec<Option<Print>>,
    /// Whether its names can be given by a prefix.
    pub is_named: bool,
}

/// What a field takes as a rule.
struct Convention {
    usual: &'static [&'static str],
    other: &'static [&'static str],
    why: &'static str,
}

/// The first that fits counts. Without words for the usual one, it is what has none of the others'; and the reverse.
const CONVENTIONS: [Convention; 6] = [
    Convention {
        usual: &["online"],
        other: &["target"],
        why: "BYOL's authors evaluate the online network, of which the target is a moving average",
    },
    Convention {
        usual: &["encoder_q", "q_encoder", "query_encoder", "encoder_query", "base_encoder"],
        other: &["encoder_k", "k_encoder", "key_encoder", "encoder_key", "momentum"],
        why: "MoCo's authors evaluate the query encoder (`encoder_q`, `base_encoder`), of which the other is a momentum copy",
    },
    Convention {
        usual: &["teacher"],
        other: &["student"],
        why: "the authors of DINO, iBOT and DINOv2 evaluate the teacher",
    },
    Convention {
        usual: &["target_encoder", "target"],
        other: &["encoder", "context_encoder", "context"],
        why: "the authors of I-JEPA and V-JEPA evaluate the target encoder",
    },
    Convention {
        usual: &[],
        other: &["momentum"],
        why: "solo-learn and lightly evaluate the network itself, of which the other is a momentum copy",
    },
    Convention {
        usual: &AVERAGES,
        other: &[],
        why: "timm evaluates the average of the weights over training (EMA) where a file has one",
    },
];

/// Words for an average of weights over training.
pub const AVERAGES: [&str; 7] = ["ema", "averaged", "average", "swa", "shadow", "polyak", "avg"];

/// Words of all conventions, and `best`, which some keep beside the last weights.
pub fn is_role(key: &str) -> bool {
    let words = CONVENTIONS.iter().flat_map(|rule| rule.usual.iter().chain(rule.other));
    words.chain(&["best"]).any(|word| has(key, word))
}

/// Whether a part of a path (between dots or slashes) is this word, or has it between underscores.
pub fn has(path: &str, word: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.split(['.', '/']).any(|part| format!("_{part}_").contains(&format!("_{word}_")))
}

/// The order in which places are named, the field's usual one first, and why; in their own order where no convention is known.
pub fn usual_first(places: &[String]) -> (Vec<usize>, Option<&'static str>) {
    let any = |words: &[&str], place: &String| words.iter().any(|word| has(place, word));
    for Convention { usual, other, why } in &CONVENTIONS {
        let is_usual = |place: &String| match usual.is_empty() {
            true => !any(other, place),
            false => any(usual, place),
        };
        let is_other = |place: &String| !is_usual(place) && (other.is_empty() || any(other, place));
        if places.iter().any(is_usual) && places.iter().any(is_other) {
            let mut order: Vec<usize> = (0..places.len()).collect();
            order.sort_by_key(|i| !is_usual(&places[*i]));
            return (order, Some(why));
        }
    }
    ((0..places.len()).collect(), None)
}

/// Two places hold the same as far as both hold anything.
fn agree(a: &Rival, b: &Rival) -> bool {
    a.prints.iter().zip(&b.prints).all(|(a, b)| a.is_none() || b.is_none() || a == b)
}

/// The place to take the backbone of `needed` tensors from; `None` where there is none.
///
/// # Errors
/// When it is there more than once with different values. All places are listed.
pub fn decide(rivals: &[Rival], needed: usize) -> Result<Option<usize>, AuditError> {
    let places: Vec<String> = rivals.iter().map(|r| place(&r.choice)).collect();
    let (mut order, why) = usual_first(&places);
    // Those that are whole first, and of these and the others, the usual ones.
    let is_whole = |rival: &Rival| rival.choice.present == needed && rival.is_named;
    order.sort_by_key(|i| !is_whole(&rivals[*i]));
    let Some(first) = order.first().copied() else { return Ok(None) };
    if order.iter().all(|i| agree(&rivals[first], &rivals[*i])) {
        return Ok(Some(first));
    }
    if !is_whole(&rivals[first]) {
        // None can be used: the reader is told what is missing of the first.
        return Ok(Some(first));
    }
    let listed: Vec<&Rival> = order.iter().map(|i| &rivals[*i]).collect();
    let lines = vec![format!("the backbone is in it more than once, with different values: {}", list(&listed, needed))];
    let written = written(&rivals[first].choice, &listed);
    let unusable = why.filter(|_| usual_first(&places).0.first() != Some(&first));
    let help = match (why, unusable) {
        (_, Some(why)) => format!(
            "{why}, and it is not whole here or has names that cannot be given; {written} says that what is whole is meant, as it is"
        ),
        (Some(why), None) => format!("say which one is meant, such as {written}: {why}"),
        (None, None) => {
            "say which one is meant by one of these; nothing in the file says which of them its authors evaluate"
                .to_owned()
        }
    };
    Err(AuditError { lines, help: Some(help) })
}

fn place(choice: &Choice) -> String {
    format!("{}.{}", choice.container.as_deref().unwrap_or_default(), choice.prefix)
}

/// What is written to mean it, as far as it tells it from the others.
fn written(choice: &Choice, all: &[&Rival]) -> String {
    let differs = |of: fn(&Choice) -> Option<&str>| all.iter().any(|other| of(&other.choice) != of(choice));
    let container = choice.container.as_deref().filter(|_| differs(|c| c.container.as_deref()));
    let prefix = Some(&choice.prefix).filter(|_| container.is_none() || differs(|c| Some(&c.prefix)));
    let parts = [container.map(|c| format!("container: {c:?}")), prefix.map(|p| format!("prefix: {p:?}"))];
    format!("`{}`", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn list(rivals: &[&Rival], needed: usize) -> String {
    let one = |rival: &&Rival| {
        let Choice { present, prefix, .. } = &rival.choice;
        match (rival.is_named, *present < needed) {
            (false, _) => format!("{prefix:?} (under names that have lost their dots)"),
            (true, true) => format!("{} ({present} of {needed} tensors)", written(&rival.choice, rivals)),
            (true, false) => written(&rival.choice, rivals),
        }
    };
    rivals.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rival(container: &str, prefix: &str, present: usize, print: u64) -> Rival {
        let container = Some(container).filter(|c| !c.is_empty()).map(str::to_owned);
        let prints = (0..2).map(|i| (i < present).then_some((print, 0))).collect();
        Rival { choice: Choice { container, prefix: prefix.to_owned(), present }, prints, is_named: true }
    }

    #[test]
    fn the_fields_convention_comes_first() {
        for (places, expected) in [
            (&["state_dict", "state_dict_ema"][..], "state_dict_ema"),
            (&["model", "model_ema"], "model_ema"),
            (&["module", "module_ema"], "module_ema"),
            (&["ema", "model"], "ema"),
            (&["net", "ema_net"], "ema_net"),
            (&["student", "teacher"], "teacher"),
            (&["student_backbone", "teacher_backbone"], "teacher_backbone"),
            (&[".module.encoder_k.", ".module.encoder_q."], ".module.encoder_q."),
            (&[".module.momentum_encoder.", ".module.base_encoder."], ".module.base_encoder."),
            (&["encoder", "target_encoder"], "target_encoder"),
            (&["context_encoder", "target_encoder"], "target_encoder"),
            (&["target", "online"], "online"),
            (&["target_encoder", "online_encoder"], "online_encoder"),
            (&["target_params", "online_params"], "online_params"),
            (&[".momentum_backbone.", ".backbone."], ".backbone."),
            (&[".backbone_momentum.", ".backbone."], ".backbone."),
        ] {
            let places: Vec<String> = places.iter().map(|p| (*p).to_owned()).collect();
            let (order, why) = usual_first(&places);
            assert_eq!((places[order[0]].as_str(), why.is_some()), (expected, true), "{places:?}");
        }
        let (order, why) = usual_first(&["b".to_owned(), "a".to_owned(), "schema".to_owned()]);
        assert_eq!((order, why), (vec![0, 1, 2], None));
    }

    #[test]
    fn what_makes_a_difference_is_asked() {
        let check =
            |rivals: &[Rival], expected: Result<Option<usize>, (&str, &str)>| match (decide(rivals, 2), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(AuditError { lines, help }), Err((line, advice))) => {
                    let help = help.unwrap();
                    assert!(lines[0].contains(line), "{line}: {lines:?}");
                    assert!(help.contains(advice), "{advice}: {help}");
                }
                (found, expected) => panic!("{expected:?} was expected, and it is {found:?}"),
            };
        check(&[], Ok(None));
        check(&[rival("a", "", 2, 1)], Ok(Some(0)));
        check(&[rival("a", "", 2, 1), rival("b", "", 2, 1)], Ok(Some(0)));
        // The usual one, where they are equal.
        check(&[rival("model", "", 2, 1), rival("ema", "", 2, 1)], Ok(Some(1)));
        check(
            &[rival("state_dict", "", 2, 1), rival("state_dict_ema", "", 2, 2)],
            Err((
                "with different values: `container: \"state_dict_ema\"`, `container: \"state_dict\"`",
                "such as `container: \"state_dict_ema\"`: timm evaluates",
            )),
        );
        check(
            &[rival("", "k.", 2, 1), rival("", "q.", 2, 2)],
            Err(("`prefix: \"k.\"`, `prefix: \"q.\"`", "nothing in the file says which")),
        );
        check(
            &[rival("a", "k.", 2, 1), rival("b", "q.", 2, 2)],
            Err(("`container: \"a\", prefix: \"k.\"`, `container: \"b\", prefix: \"q.\"`", "nothing in the file says")),
        );
        // An average that is not whole is told, and is no example.
        check(
            &[rival("ema", "", 1, 2), rival("model", "", 2, 1)],
            Err((
                "`container: \"model\"`, `container: \"ema\"` (1 of 2 tensors)",
                "`container: \"model\"` says that what is whole",
            )),
        );
        check(&[rival("ema", "", 1, 1), rival("model", "", 2, 1)], Ok(Some(1)));
        check(&[rival("ema", "", 1, 2), rival("model", "", 1, 1)], Ok(Some(0)));
    }
}
