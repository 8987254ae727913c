#include "tests/history/search.h"

#include <algorithm>
#include <unordered_map>

#include "tests/history/plan.h"

namespace holdfast::history {
namespace {

constexpr size_t kCandidatesShown = 8;

/// A step that was taken: a planned one, or one that happens by itself.
struct Taken {
  Step step;
  size_t planned = Planned::kNoStep;
  uint64_t slot = 0;
  uint64_t revision = 0;
};

struct Option {
  Step step;
  size_t planned = Planned::kNoStep;
  uint64_t slot = 0;
  uint64_t first = 0;
  uint64_t last = kEndless;
};

struct KeyHash {
  size_t operator()(const std::pair<uint64_t, uint64_t>& key) const { return key.first; }
};

class Search {
 public:
  Search(const LockHistory& lock, const std::map<uint64_t, Session>& sessions, const Known& known,
         uint64_t budget)
      : lock_(lock),
        sessions_(sessions),
        known_(known),
        budget_(budget),
        plan_(lock, sessions),
        model_(lock, sessions, known) {}

  SearchResult run() {
    enter(0, 0);
    while (plan_.mandatory_left() > 0 && !frames_.empty()) {
      if (tries_ > budget_) return {Verdict::Kind::kUndecided, undecided(), tries_};
      if (!advance()) leave();
    }
    if (plan_.mandatory_left() == 0) return {Verdict::Kind::kGood, "", tries_};
    return {Verdict::Kind::kBroken, explain(), tries_};
  }

 private:
  /// A configuration on the present path and what has not been tried from it.
  struct Frame {
    LockModel::Mark mark;
    size_t pin = 0;  ///< the first pin not yet met
    std::vector<Option> options;
    size_t next = 0;
  };

  void enter(uint64_t cursor, size_t pin) {
    frames_.push_back({model_.mark(), pin, options(cursor), 0});
  }

  std::vector<Option> options(uint64_t cursor) const {
    std::vector<Option> found;
    const bool open = model_.state().open_until.has_value();
    if (open) found.push_back(settling(cursor));
    for (const size_t i : plan_.candidates(cursor)) {
      const Planned& planned = plan_.steps()[i];
      // What must be answered just here can only be answered now: the state here is final.
      if (planned.last_position() == cursor && planned.slot == 3) {
        return {{planned.step, i, planned.slot, planned.last, planned.last}};
      }
      const bool idle = !planned.mandatory && planned.step.kind == Step::Kind::kSessionEnd &&
                        !model_.has_claim(planned.step.session);
      if (idle || (open && planned.slot == 3)) continue;
      found.push_back({planned.step, i, planned.slot, planned.earliest(cursor), planned.last});
    }
    add_unasked(cursor, found);
    add_together(cursor, found);
    add_strays(found);
    return found;
  }

  /// When an acquireAll gets its locks, this one alone does not say: with any entry.
  void add_together(uint64_t cursor, std::vector<Option>& found) const {
    const size_t waiting = model_.waiting_together();
    const size_t known = found.size();
    for (size_t i = 0; i < known; ++i) {
      const Option plain = found[i];
      if (plain.slot != 1 && plain.slot != 2) continue;
      const bool command = plain.step.kind == Step::Kind::kCommand;
      const bool more = command && lock_.commands[plain.step.index].first->arguments.together;
      for (size_t n = 1; n <= waiting + (more ? 1 : 0); ++n) {
        found.push_back(plain);
        found.back().step.together = n;
      }
    }
    if (model_.state().open_until) return;
    const uint64_t first = Planned{.slot = 2}.earliest(cursor);
    for (size_t n = 1; n <= waiting; ++n) {
      found.push_back(
          {.step = {.kind = Step::Kind::kSettle, .together = n}, .slot = 2, .first = first});
    }
  }

  static Option settling(uint64_t cursor) {
    return {.step = {Step::Kind::kSettle}, .slot = 2, .first = cursor / kSlots};
  }

  /// Ends of waits and of revoked holders come by themselves.
  void add_unasked(uint64_t cursor, std::vector<Option>& found) const {
    const uint64_t first = Planned{.slot = 0}.earliest(cursor);
    for (const auto& claim : model_.state().queue) {
      if (lock_.commands[claim.command].first->arguments.wait_ms <= 0) continue;
      found.push_back({.step = {Step::Kind::kTimeout, claim.command}, .first = first});
    }
    for (const auto& claim : model_.state().holders) {
      if (!claim.revoking) continue;
      found.push_back({.step = {Step::Kind::kGiveAway, claim.command}, .first = first});
    }
    const uint64_t closed = model_.state().closed_until;
    if (closed != 0)
      found.push_back({.step = {Step::Kind::kOpen}, .first = std::max(first, closed)});
  }

  /// A step has the first revision that it may have, unless its grants are known; a stray token may
  /// be of a grant of any step.
  void add_strays(std::vector<Option>& found) const {
    const size_t known = found.size();
    for (const uint64_t token : lock_.stray_tokens) {
      for (size_t i = 0; i < known; ++i) {
        const Option& plain = found[i];
        const bool grants = plain.slot == 1 || plain.slot == 2;
        if (!grants || token <= plain.first || token > plain.last) continue;
        Option later = plain;
        later.first = later.last = token;
        found.push_back(later);
      }
    }
  }

  /// Takes the next possible step from the newest frame; false if none is left.
  bool advance() {
    while (frames_.back().next < frames_.back().options.size()) {
      Frame& frame = frames_.back();
      const Option option = frame.options[frame.next++];
      ++tries_;
      const auto revision = model_.apply(option.step, option.first, option.last);
      if (revision && take(option, *revision)) return true;
      model_.restore(frames_.back().mark);
    }
    return false;
  }

  /// The first pin that is not met, from `pin` on.
  size_t unmet(size_t pin) const {
    while (pin < plan_.pins().size() && met(plan_.pins()[pin])) ++pin;
    return pin;
  }

  bool met(const Pin& pin) const {
    const auto kind = model_.outcome(pin.command).kind;
    const bool ended = kind == LockModel::Outcome::Kind::kEnded;
    return pin.is_end ? ended : ended || kind == LockModel::Outcome::Kind::kGranted;
  }

  bool take(const Option& option, uint64_t revision) {
    const uint64_t cursor = revision * kSlots + option.slot;
    // What is known to have come with an entry must have come before any later position.
    const size_t pin = unmet(frames_.back().pin);
    if (pin < plan_.pins().size() && plan_.pins()[pin].revision * kSlots + 1 < cursor) return false;
    if (option.planned != Planned::kNoStep) plan_.take(option.planned);
    toggle(option.planned);
    if (!is_new(cursor)) {
      toggle(option.planned);
      if (option.planned != Planned::kNoStep) plan_.put_back(option.planned);
      return false;
    }
    path_.push_back({option.step, option.planned, option.slot, revision});
    enter(cursor, pin);
    return true;
  }

  void toggle(size_t planned) {
    if (planned == Planned::kNoStep) return;
    taken_.first ^= mix(3, planned);
    taken_.second ^= mix(4, planned);
  }

  /// Not left without success before, from as far ahead or further.
  bool is_new(uint64_t cursor) {
    const auto state = model_.hash();
    const std::pair key(mix(taken_.first, state.first), mix(taken_.second, state.second));
    const auto [at, fresh] = seen_.emplace(key, cursor);
    if (!fresh && at->second <= cursor) return false;
    at->second = cursor;
    return true;
  }

  void leave() {
    const size_t explained = plan_.steps().size() - plan_.mandatory_left();
    if (explained > explained_most_) {
      explained_most_ = explained;
      deepest_ = path_;
    }
    frames_.pop_back();
    if (path_.empty()) return;
    const Taken last = path_.back();
    path_.pop_back();
    toggle(last.planned);
    if (last.planned != Planned::kNoStep) plan_.put_back(last.planned);
    model_.restore(frames_.back().mark);
  }

  std::string undecided() const {
    return "lock " + lock_.path + ": undecided after " + std::to_string(tries_) + " steps, with " +
           std::to_string(plan_.mandatory_left()) + " of " + std::to_string(plan_.steps().size()) +
           " operations still to explain";
  }

  /// Walks the longest order found again and asks why it goes no further.
  std::string explain() {
    LockModel model(lock_, sessions_, known_);
    model.explain(true);
    uint64_t cursor = 0;
    for (const Taken& taken : deepest_) {
      model.apply(taken.step, taken.revision, taken.revision);
      if (taken.planned != Planned::kNoStep) plan_.take(taken.planned);
      cursor = taken.revision * kSlots + taken.slot;
    }
    return "lock " + lock_.path + ": no order of its operations explains the answers. After " +
           std::to_string(deepest_.size()) + " steps, at revision " +
           std::to_string(cursor / kSlots) + ", the lock is " + model.describe() +
           why_stuck(model, cursor);
  }

  std::string why_stuck(LockModel& model, uint64_t cursor) const {
    std::string text;
    size_t shown = 0;
    if (model.state().open_until) {
      const Option settle = settling(cursor);
      if (!model.apply(settle.step, settle.first, settle.last)) return "\n  " + model.reason();
    }
    const auto before = model.mark();
    for (const size_t i : plan_.candidates(cursor)) {
      const Planned& planned = plan_.steps()[i];
      if (!planned.mandatory || shown++ >= kCandidatesShown) continue;
      const auto revision = model.apply(planned.step, planned.earliest(cursor), planned.last);
      model.restore(before);
      text += "\n  " + planned.name + ": " +
              (revision ? later(model, planned, *revision) : model.reason());
    }
    const size_t urgent = plan_.most_urgent();
    if (shown == 0 && urgent != Planned::kNoStep) {
      text += "\n  " + plan_.steps()[urgent].name + " comes too late: it must have happened by " +
              "revision " + std::to_string(plan_.steps()[urgent].last);
    }
    return text;
  }

  /// A step that was possible and led nowhere: a grant or end that had to come first is missing.
  std::string later(LockModel& model, const Planned& planned, uint64_t revision) const {
    for (const Pin& pin : plan_.pins()) {
      const auto kind = model.outcome(pin.command).kind;
      const bool done = kind == LockModel::Outcome::Kind::kEnded ||
                        (!pin.is_end && kind == LockModel::Outcome::Kind::kGranted);
      if (done || pin.revision * kSlots + 1 >= revision * kSlots + planned.slot) continue;
      return "before it, at revision " + std::to_string(pin.revision) + ", the lock of " +
             name_of(*lock_.commands[pin.command].first) +
             (pin.is_end ? " must have ended" : " must have been granted");
    }
    return "possible, but what follows is not";
  }

  const LockHistory& lock_;
  const std::map<uint64_t, Session>& sessions_;
  const Known& known_;
  const uint64_t budget_;
  Plan plan_;
  LockModel model_;
  std::vector<Frame> frames_;
  std::vector<Taken> path_;
  std::vector<Taken> deepest_;  ///< the first that explained most
  size_t explained_most_ = 0;
  std::pair<uint64_t, uint64_t> taken_{0, 0};
  std::unordered_map<std::pair<uint64_t, uint64_t>, uint64_t, KeyHash> seen_;
  uint64_t tries_ = 0;
};

}  // namespace

SearchResult search(const LockHistory& lock, const std::map<uint64_t, Session>& sessions,
                    const Known& known, uint64_t budget) {
  return Search(lock, sessions, known, budget).run();
}

}  // namespace holdfast::history
