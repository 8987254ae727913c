#include "tests/history/key_search.h"

#include <algorithm>
#include <functional>
#include <set>
#include <span>

#include "tests/history/key_model.h"
#include "tests/history/key_steps.h"
#include "tests/history/model.h"

namespace holdfast::history {
namespace {

/// What is inserted before an item.
enum class Effort {
  kLikely,  ///< only what its answer asks for, a few at a time: what is found so is an order, too
  kAll,     ///< whatever may make a difference to it
};

/// So much is inserted before one item, if only what is likely is tried.
constexpr size_t kLikelyAtOnce = 4;

class KeySearch {
 public:
  KeySearch(const KeyHistory& keys, const std::map<uint64_t, Session>& sessions,
            const Course* course, Effort effort, uint64_t budget)
      : keys_(keys), sessions_(sessions), course_(course), effort_(effort), budget_(budget) {
    for (const KeyCommand& command : keys.commands) paths_.push_back(command.paths());
    for (size_t i = 0; i < keys.commands.size(); ++i) add_command(i);
    for (size_t i = 0; i < keys.reads.size(); ++i) add_read(i);
    for (const uint64_t session : owners(keys)) add_session(session);
    add_key_ends();
    std::ranges::stable_sort(items_, {},
                             [](const Item& item) { return std::pair(item.revision, item.kind); });
  }

  SearchResult run() {
    State start(keys_.parents);
    start.used.assign(loose_.size(), false);
    if (advance(std::move(start), true)) return {Verdict::Kind::kGood, "", steps_};
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      if (frame.next > frame.options.size()) {
        frames_.pop_back();
        continue;
      }
      const size_t option = frame.next++;
      State state = frame.state;
      if (option > 0 && !insert(state, frame.options[option - 1])) continue;
      if (advance(std::move(state), option > 0)) return {Verdict::Kind::kGood, "", steps_};
      if (steps_ > budget_) return {Verdict::Kind::kUndecided, undecided(), steps_};
    }
    return {Verdict::Kind::kBroken, reason_, steps_};
  }

 private:
  struct State {
    explicit State(const std::set<std::string>& parents) : model(parents) {}
    KeyModel model;
    size_t item = 0;
    /// The revision of what was last taken that concerns a key.
    std::map<std::string, uint64_t> passed;
    std::vector<bool> used;       ///< of loose_
    std::vector<uint64_t> unmet;  ///< refusals that no state has explained yet
    size_t inserted = 0;          ///< before the item
  };
  struct Frame {
    State state;
    std::vector<size_t> options;  ///< what may be inserted before the item, besides nothing
    size_t next = 0;
  };

  // ------------------------------------------------------------------------------- laying out

  bool is_judged(const KeyCommand& command) const {
    const std::string& error = command.told->answer.error;
    bool sequential = false, lacks_parent = false;
    for (const auto* list : {&command.asked().writes, &command.asked().otherwise}) {
      for (const KeyWrite& write : *list) {
        sequential = sequential || write.sequential;
        const bool makes = write.act != KeyAct::kRemove && write.expected_version <= 0;
        lacks_parent = lacks_parent || (makes && keys_.top_of(write.path).empty());
      }
    }
    // A key may lack a parent that is not judged, a sequential one collide with one made by hand.
    return error == "BAD_VERSION" || error == "NOT_EMPTY" ||
           (error == "KEY_EXISTS" && !sequential) || (error == "NO_KEY" && !lacks_parent);
  }

  void add_command(size_t index) {
    const KeyCommand& command = keys_.commands[index];
    if (command.revision != 0) {
      items_.push_back({Item::Kind::kWrite, command.revision, index});
      written_.insert(command.revision);
    } else if (command.refused()) {
      if (!is_judged(command)) return;
      items_.push_back({Item::Kind::kRefusalPossible, command.window.after, index});
      items_.push_back({Item::Kind::kRefusalOver, command.window.until, index});
    } else {
      Loose loose = {.index = index, .after = command.window.after};
      if (course_ != nullptr) loose.revisions = &course_->writes.at(command.first->line).shared;
      loose_.push_back(loose);
      loose.holds = false;
      if (command.asks_lock()) loose_.push_back(loose);
    }
  }

  /// A key that is shown was so since its last write, and there since it was created, whatever did
  /// that and whoever was told.
  void add_read(size_t index) {
    const KeyRead& read = keys_.reads[index];
    items_.push_back({Item::Kind::kRead, read.op->revision, index});
    if (read.seen == nullptr) return;
    const uint64_t written = read.seen->modify_revision, created = read.seen->create_revision;
    const bool fresh = shown_.emplace(read.path, written).second;
    if (fresh) items_.push_back({Item::Kind::kRead, written, index});
    const bool made = created != written && made_.emplace(read.path, created).second;
    if (made) items_.push_back({Item::Kind::kMade, created, index});
  }

  void add_key_ends() {
    const std::set<std::string> paths = mortals(keys_);
    for (const std::string& path : paths) {
      if (course_ == nullptr) loose_.push_back({.ends = path});
    }
    for (size_t i = 0; course_ != nullptr && i < course_->key_ends.size(); ++i) {
      const Course::KeyEnd& end = course_->key_ends[i];
      if (paths.contains(end.path)) items_.push_back({Item::Kind::kKeyEnd, end.revision, i});
    }
  }

  void add_session(uint64_t id) {
    const auto at = sessions_.find(id);
    const Session session = at == sessions_.end() ? Session{} : at->second;
    const uint64_t end = session.ended_at != 0 ? session.ended_at : end_in_course(id);
    if (end != 0) {
      items_.push_back({Item::Kind::kSessionEnd, end, id});
    } else if (course_ == nullptr) {
      ends_.emplace(id, loose_.size());
      loose_.push_back(
          {.is_end = true, .index = id, .after = session.alive_at, .until = session.ended_by});
    }
    if (session.ended_at == 0 && session.ended_by != kNoRevision) {
      items_.push_back({Item::Kind::kSessionOver, session.ended_by, id});
    }
  }

  /// 0: it has none.
  uint64_t end_in_course(uint64_t session) const {
    if (course_ == nullptr) return 0;
    const auto end = course_->session_ends.find(session);
    return end == course_->session_ends.end() ? 0 : end->second;
  }

  // -------------------------------------------------------------------------------- searching

  /// Goes on until something may be inserted, and leaves a frame there; true at the end. `look`:
  /// whether anything may be inserted at once.
  bool advance(State state, bool look) {
    for (; state.item < items_.size(); ++state.item, state.inserted = 0, look = true) {
      std::vector<size_t> options = look ? insertable(state) : std::vector<size_t>();
      if (!options.empty()) {
        const bool fresh = seen_.insert(hash(state)).second;
        if (fresh) frames_.push_back({std::move(state), std::move(options), 0});
        return false;
      }
      ++steps_;
      if (const auto why = take(state, items_[state.item])) {
        note(state, *why);
        return false;
      }
    }
    return true;
  }

  bool fits(State state) const { return !take(state, items_[state.item]); }

  std::optional<std::string> take(State& state, const Item& item) const {
    for (const std::string& path : paths_of(item)) state.passed[path] = item.revision;
    switch (item.kind) {
      case Item::Kind::kKeyEnd:
        return end_key(state, course_->key_ends[item.index]);
      case Item::Kind::kSessionEnd:
        state.model.end_session(item.index, {item.revision, item.revision});
        meet(state);
        return std::nullopt;
      case Item::Kind::kSessionOver:
        if (state.model.ended.contains(item.index) || !state.model.owns_any(item.index)) {
          state.model.ended.insert(item.index);
          return std::nullopt;
        }
        return "session " + std::to_string(item.index) + " must have ended by now";
      case Item::Kind::kWrite:
        return write(state, keys_.commands[item.index]);
      case Item::Kind::kMade:
        return state.model.made(keys_.reads[item.index]);
      case Item::Kind::kRead:
        return state.model.read(keys_.reads[item.index]);
      case Item::Kind::kRefusalPossible:
        if (!refuses(state.model, keys_.commands[item.index])) state.unmet.push_back(item.index);
        return std::nullopt;
      case Item::Kind::kRefusalOver:
        if (std::ranges::find(state.unmet, item.index) == state.unmet.end()) return std::nullopt;
        return "it was refused with " + keys_.commands[item.index].told->answer.error +
               ", which nothing explains";
    }
    return std::nullopt;
  }

  std::optional<std::string> end_key(State& state, const Course::KeyEnd& end) const {
    const Span at{end.revision, end.revision};
    if (!state.model.may_end(end.path, at, end.moment)) return "it ended by itself, and may not";
    state.model.end(end.path, at);
    meet(state);
    return std::nullopt;
  }

  std::optional<std::string> write(State& state, const KeyCommand& command) const {
    const Arguments& asked = command.asked();
    if (asked.session != 0 && state.model.ended.contains(asked.session)) {
      return "session " + std::to_string(asked.session) + " had ended";
    }
    const Answer* told = command.told == nullptr ? nullptr : &command.told->answer;
    const Span at{command.revision, command.revision};
    const KeyModel::Outcome outcome =
        state.model.write(command, at, told == nullptr ? !command.otherwise : told->succeeded);
    if (outcome.refusal != Refusal::kNone) return "it was applied, but is refused by what there is";
    if (told != nullptr && outcome.succeeded != told->succeeded) {
      return std::string("it was answered that its conditions ") +
             (told->succeeded ? "hold, but they do not" : "do not hold, but they do");
    }
    const auto& steps = outcome.succeeded ? asked.writes : asked.otherwise;
    if (told != nullptr && !same(outcome.results, told->results, steps)) {
      return "it was answered other versions or names than it makes";
    }
    meet(state);
    return std::nullopt;
  }

  static bool same(const std::vector<KeyResult>& made, const std::vector<KeyResult>& told,
                   const std::vector<KeyWrite>& steps) {
    if (made.size() != told.size()) return false;
    for (size_t i = 0; i < made.size(); ++i) {
      const bool recursive = steps[i].recursive;
      // A step need not say the path that it was asked for.
      const bool named = steps[i].sequential || !told[i].path.empty();
      // Of a removal it is the version that went, which others need not have seen.
      const bool removal = steps[i].act == KeyAct::kRemove;
      if (!removal && made[i].version != told[i].version) return false;
      if (named && made[i].path != told[i].path) return false;
      if (recursive ? made[i].removed > told[i].removed : made[i].removed != told[i].removed) {
        return false;
      }
    }
    return true;
  }

  /// Whether its conditions on locks held a refusal does not say.
  static bool refuses(const KeyModel& model, const KeyCommand& command) {
    return refuses(model, command, true) || (command.asks_lock() && refuses(model, command, false));
  }

  static bool refuses(KeyModel model, const KeyCommand& command, bool holds) {
    const Refusal refusal = model.write(command, {}, holds).refusal;
    const std::string& error = command.told->answer.error;
    return (error == "NO_KEY" && refusal == Refusal::kNoKey) ||
           (error == "NOT_EMPTY" && refusal == Refusal::kNotEmpty) ||
           (error == "KEY_EXISTS" && refusal == Refusal::kKeyExists) ||
           (error == "BAD_VERSION" && refusal == Refusal::kBadVersion);
  }

  /// After a change: does it explain a refusal?
  void meet(State& state) const {
    std::erase_if(state.unmet,
                  [&](uint64_t index) { return refuses(state.model, keys_.commands[index]); });
  }

  /// First what explains the item; then the latest, as what was lost took effect soon after it was
  /// sent, if at all.
  std::vector<size_t> insertable(const State& state) const {
    const bool likely = effort_ == Effort::kLikely;
    if (likely && state.inserted == kLikelyAtOnce) return {};
    if (follows_its_write(items_[state.item])) return {};
    std::vector<std::pair<size_t, bool>> found;
    std::optional<bool> plain;  // does the item fit as things are?
    for (size_t i = 0; i < loose_.size(); ++i) {
      const Loose& loose = loose_[i];
      if (state.used[i] || !concerns(state, loose) || !span(state, loose)) continue;
      if (!plain) plain = fits(state);
      if (likely && *plain && !touches_item(state, loose)) continue;
      State trial = state;
      if (!insert_into(trial, i)) continue;
      const bool explains = fits(std::move(trial));
      if (!likely || explains || !*plain) found.emplace_back(i, explains);
    }
    std::ranges::stable_sort(found, std::greater(), [&](const auto& each) {
      return std::pair(each.second, loose_[each.first].after);
    });
    std::vector<size_t> options;
    for (const auto& [index, explains] : found) options.push_back(index);
    return options;
  }

  /// It shows what a command that has been taken did in this very entry: what mattered to it came
  /// before that command.
  bool follows_its_write(const Item& item) const {
    if (!written_.contains(item.revision)) return false;
    if (item.kind == Item::Kind::kMade) return true;
    const SeenKey* seen = item.kind == Item::Kind::kRead ? keys_.reads[item.index].seen : nullptr;
    return seen != nullptr && seen->modify_revision == item.revision;
  }

  /// A write may make what is above its keys, too.
  bool touches_item(const State& state, const Loose& loose) const {
    const Item& item = items_[state.item];
    return std::ranges::any_of(paths_of(item), [&](std::string path) {
      bool found = touches(state, loose, path);
      while (item.kind == Item::Kind::kWrite && !found && path.rfind('/') > 0) {
        path.resize(path.rfind('/'));
        found = touches(state, loose, path);
      }
      return found;
    });
  }

  static bool changes(const Item& item) {
    return item.kind == Item::Kind::kWrite || item.kind == Item::Kind::kSessionEnd ||
           item.kind == Item::Kind::kKeyEnd;
  }

  /// Between what was last taken that it concerns and the next item: it is only placed once it
  /// makes a difference, but may have happened earlier.
  std::optional<Span> span(const State& state, const Loose& loose) const {
    const Item& next = items_[state.item];
    // What ends by itself may end in an entry, before what else that does.
    const bool before = loose.ends.empty() && changes(next);
    uint64_t after = loose.after;
    for (const auto& [path, revision] : state.passed) {
      if (touches(state, loose, path)) after = std::max(after, revision);
    }
    Span at{after + 1, std::min(next.revision - (before ? 1 : 0), loose.until)};
    if (loose.revisions != nullptr) at = narrowed(at, *loose.revisions);
    if (at.first > at.last) return std::nullopt;
    return at;
  }

  /// To the first and the last of the revisions in it.
  static Span narrowed(const Span& span, const std::vector<uint64_t>& revisions) {
    const auto first = std::ranges::lower_bound(revisions, span.first);
    const auto end = std::ranges::upper_bound(revisions, span.last);
    return first < end ? Span{*first, *std::prev(end)} : Span{1, 0};
  }

  /// May it make a difference to the next item? If not, it may as well happen later.
  bool concerns(const State& state, const Loose& loose) const {
    const Item& item = items_[state.item];
    if (item.kind == Item::Kind::kSessionOver || item.kind == Item::Kind::kSessionEnd) {
      if (!loose.ends.empty()) return false;
      return loose.is_end ? loose.index == item.index
                          : keys_.commands[loose.index].asked().session == item.index;
    }
    return is_near(state, loose, item) || comes_before_an_end(state, loose, item);
  }

  bool is_near(const State& state, const Loose& loose, const Item& item) const {
    return std::ranges::any_of(paths_of(item), [&](const std::string& path) {
      return touches(state, loose, path) || is_related(state, loose, path);
    });
  }

  /// The end of its session may make a difference to the item, and after that it cannot happen.
  bool comes_before_an_end(const State& state, const Loose& loose, const Item& item) const {
    if (loose.is_end || !loose.ends.empty()) return false;
    const auto end = ends_.find(keys_.commands[loose.index].asked().session);
    return end != ends_.end() && !state.used[end->second] &&
           is_near(state, loose_[end->second], item);
  }

  /// Above or below a path, or beside it: where parents are judged, a key may depend on the others
  /// (a container goes when the last of its children has gone, and no child can be made then).
  bool is_related(const State& state, const Loose& loose, const std::string& path) const {
    if (keys_.parents.empty()) return false;
    const std::string top = keys_.top_of(path);
    const auto related = [&](const std::string& other) {
      return other.starts_with(path + "/") || path.starts_with(other + "/") ||
             (!top.empty() && other.starts_with(top + "/"));
    };
    if (!loose.ends.empty()) return related(loose.ends);
    if (!loose.is_end) return std::ranges::any_of(paths_[loose.index], related);
    return std::ranges::any_of(state.model.keys, [&](const auto& each) {
      return each.second.owner == loose.index && related(each.first);
    });
  }

  std::span<const std::string> paths_of(const Item& item) const {
    switch (item.kind) {
      case Item::Kind::kKeyEnd:
        return {&course_->key_ends[item.index].path, 1};
      case Item::Kind::kMade:
      case Item::Kind::kRead:
        return {&keys_.reads[item.index].path, 1};
      case Item::Kind::kSessionEnd:
      case Item::Kind::kSessionOver:
        return {};
      default:
        return paths_[item.index];
    }
  }

  bool touches(const State& state, const Loose& loose, const std::string& path) const {
    if (!loose.ends.empty()) return path == loose.ends;
    if (!loose.is_end) {
      const std::vector<std::string>& paths = paths_[loose.index];
      return std::ranges::find(paths, path) != paths.end();
    }
    const auto at = state.model.keys.find(path);
    return at != state.model.keys.end() && at->second.owner == loose.index;
  }

  bool insert(State& state, size_t index) {
    ++steps_;
    ++state.inserted;
    return insert_into(state, index);
  }

  /// False if it changes nothing: then it need not be told apart from not having happened.
  bool insert_into(State& state, size_t index) const {
    const Loose& loose = loose_[index];
    const auto at = span(state, loose);
    if (!at) return false;
    if (!loose.ends.empty()) {
      if (!state.model.may_end(loose.ends, *at, moment_of(items_[state.item]))) return false;
      state.model.end(loose.ends, *at);
    } else if (loose.is_end) {
      if (!state.model.owns_any(loose.index)) return false;
      state.model.end_session(loose.index, *at);
      state.used[index] = true;
    } else if (!insert_command(state, loose, *at)) {
      return false;
    }
    meet(state);
    return true;
  }

  bool insert_command(State& state, const Loose& loose, Span at) const {
    const KeyCommand& command = keys_.commands[loose.index];
    const uint64_t session = command.asked().session;
    if (session != 0 && state.model.ended.contains(session)) return false;
    const uint64_t before = state.model.hash();
    if (state.model.write(command, at, loose.holds).refusal != Refusal::kNone ||
        state.model.hash() == before) {
      return false;
    }
    for (size_t i = 0; i < loose_.size(); ++i) {
      const bool same = !loose_[i].is_end && loose_[i].ends.empty();
      if (same && loose_[i].index == loose.index) state.used[i] = true;
    }
    return true;
  }

  /// When the state that the item met had been applied.
  int64_t moment_of(const Item& item) const {
    switch (item.kind) {
      case Item::Kind::kKeyEnd:
        return course_->key_ends[item.index].moment;
      case Item::Kind::kSessionEnd:
      case Item::Kind::kSessionOver:
        return kNever;
      case Item::Kind::kMade:
      case Item::Kind::kRead:
        return keys_.reads[item.index].op->returned;
      default: {
        const KeyCommand& command = keys_.commands[item.index];
        return command.told == nullptr ? kNever : command.told->returned;
      }
    }
  }

  uint64_t hash(const State& state) const {
    uint64_t hash = mix(state.model.hash(), state.item);
    if (effort_ == Effort::kLikely) hash = mix(hash, state.inserted);
    for (size_t i = 0; i < state.used.size(); ++i) {
      if (state.used[i]) hash = mix(hash, i);
    }
    for (const uint64_t index : state.unmet) hash = mix(hash, ~index);
    return hash;
  }

  // ------------------------------------------------------------------------------- explaining

  /// Remembers what stopped the order that went furthest.
  void note(const State& state, const std::string& why) {
    if (!reason_.empty() && state.item <= furthest_) return;
    furthest_ = state.item;
    const Item& item = items_[state.item];
    reason_ = "keys: no order of the operations explains the answers. At revision " +
              std::to_string(item.revision) + ", " + name(item) + ": " + why + "\n  there is " +
              state.model.describe();
  }

  std::string name(const Item& item) const {
    if (item.kind == Item::Kind::kRead || item.kind == Item::Kind::kMade) {
      const KeyRead& read = keys_.reads[item.index];
      return name_of(*read.op) + " of " + read.path;
    }
    if (item.kind == Item::Kind::kSessionEnd || item.kind == Item::Kind::kSessionOver) {
      return "the end of session " + std::to_string(item.index);
    }
    if (item.kind == Item::Kind::kKeyEnd) return "the end of " + paths_of(item).front();
    const KeyCommand& command = keys_.commands[item.index];
    return name_of(command.told == nullptr ? *command.first : *command.told);
  }

  std::string undecided() const {
    return "keys: undecided after " + std::to_string(steps_) + " steps, at " +
           std::to_string(furthest_) + " of " + std::to_string(items_.size()) + "; " + reason_;
  }

  const KeyHistory& keys_;
  const std::map<uint64_t, Session>& sessions_;
  const Course* const course_;
  const Effort effort_;
  const uint64_t budget_;
  std::vector<std::vector<std::string>> paths_;  ///< of the commands
  std::vector<Item> items_;
  std::set<uint64_t> written_;  ///< revisions of commands among them
  std::vector<Loose> loose_;
  std::map<uint64_t, size_t> ends_;  ///< of sessions, among them
  std::vector<Frame> frames_;
  std::set<uint64_t> seen_;
  std::set<std::pair<std::string, uint64_t>> shown_;  ///< keys as of their last write
  std::set<std::pair<std::string, uint64_t>> made_;   ///< and as of when they were created
  uint64_t steps_ = 0;
  size_t furthest_ = 0;
  std::string reason_;
};

}  // namespace

SearchResult search(const KeyHistory& keys, const std::map<uint64_t, Session>& sessions,
                    const Course* course, uint64_t budget) {
  SearchResult likely = KeySearch(keys, sessions, course, Effort::kLikely, budget / 2).run();
  if (likely.kind == Verdict::Kind::kGood) return likely;
  SearchResult all = KeySearch(keys, sessions, course, Effort::kAll, budget / 2).run();
  all.steps += likely.steps;
  return all;
}

}  // namespace holdfast::history
