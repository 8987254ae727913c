#include "tests/history/key_timeline.h"

#include <algorithm>
#include <numeric>

namespace holdfast::history {
namespace {

constexpr size_t kNumberDigits = 20;
constexpr size_t kNobody = ~size_t{0};
/// In the path that stands for one that nobody was told.
constexpr char kHidden = '\x01';

bool reads_keys(Call call) {
  return call == Call::kGet || call == Call::kGetMany || call == Call::kListKeys;
}

/// Refusals that are the outcome of a write that was applied.
bool is_refusal(const std::string& error) {
  return error == "BAD_VERSION" || error == "KEY_EXISTS" || error == "NO_KEY" ||
         error == "NOT_EMPTY" || error == "NOT_HELD";
}

bool is_outcome(const Operation& op) {
  return op.answer.known && (op.answer.error.empty() || is_refusal(op.answer.error));
}

bool same_content(const Arguments& a, const Arguments& b) {
  return a.compares == b.compares && a.writes == b.writes && a.otherwise == b.otherwise;
}

bool same_outcome(const Answer& a, const Answer& b) {
  return a.error == b.error && a.write_revision == b.write_revision && a.succeeded == b.succeeded &&
         a.results == b.results;
}

bool is_numbered(const std::string& path, const std::string& prefix) {
  return path.size() == prefix.size() + kNumberDigits && path.starts_with(prefix) &&
         std::all_of(path.end() - kNumberDigits, path.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_below(const std::string& path, const std::string& top) {
  return top == "/" ||
         (path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/');
}

std::string text(uint64_t number) { return std::to_string(number); }

class KeyLayout {
 public:
  KeyLayout(const std::vector<Operation>& operations, const Course* course, const Known& known,
            Timeline& timeline)
      : operations_(operations), course_(course), known_(known), timeline_(timeline) {}

  void run() {
    for (const Operation* op : by_time(operations_)) {
      if (writes_keys(op->call)) place_write(*op);
    }
    if (course_ != nullptr) follow_course();
    for (size_t i = 0; i < commands_.size(); ++i) {
      if (commands_[i].told == nullptr) unanswered_.push_back(i);
      revisions_.emplace(commands_[i].revision, i);
    }
    for (const Operation& op : operations_) {
      if (reads_keys(op.call) && op.answer.known && op.answer.error.empty()) learn(op);
    }
    judge_revisions();
    judge_numbers();
    tie();
    std::vector<const Operation*> reads;
    for (const Operation& op : operations_) {
      if (reads_keys(op.call) && op.answer.known && op.answer.error.empty()) reads.push_back(&op);
    }
    std::ranges::stable_sort(reads, {}, [](const Operation* op) { return op->revision; });
    for (const Operation* op : reads) place_reads(*op);
  }

 private:
  void broken(const std::string& why) {
    if (timeline_.broken.empty()) timeline_.broken = why;
  }

  // -------------------------------------------------------------------------------- writes

  void place_write(const Operation& op) {
    // A copy that was refused before it was applied never takes effect (IDL, Applied.NO).
    if (op.answer.known && !is_outcome(op)) return;
    const std::pair key(op.arguments.session, op.arguments.sequence);
    const auto found = by_sequence_.find(key);
    const bool numbered = op.arguments.sequence != 0;
    if (!numbered || found == by_sequence_.end()) {
      if (numbered) by_sequence_[key] = commands_.size();
      KeyCommand& command = commands_.emplace_back();
      command.first = &op;
      command.window = {known_.window(op).after, kNoRevision, op.invoked, kNever};
      return take_answer(command, op);
    }
    KeyCommand& command = commands_[found->second];
    if (command.first->call != op.call || !same_content(command.asked(), op.arguments)) {
      return broken(name_of(op) + " has the session and sequence of " + name_of(*command.first) +
                    ", but other content");
    }
    take_answer(command, op);
  }

  void take_answer(KeyCommand& command, const Operation& op) {
    if (!op.answer.known) return;
    if (command.told != nullptr && !same_outcome(command.told->answer, op.answer)) {
      return broken(name_of(op) + " is a retry of " + name_of(*command.told) +
                    " and got another outcome");
    }
    const uint64_t at = op.answer.error.empty() ? op.answer.write_revision : op.revision;
    if (at <= command.window.after) {
      return broken(known_.stale(*command.first, "took effect at revision " + text(at) +
                                                     (command.refused() ? " at the latest" : "")));
    }
    if (at > op.revision) {
      return broken(name_of(op) + " names an entry after the reply's own revision " +
                    text(op.revision));
    }
    command.told = &op;
    command.window.until = std::min(command.window.until, at);
    if (op.answer.error.empty()) command.revision = at;
    if (op.arguments.session != 0) {
      const uint64_t seen = command.revision != 0 ? at : command.window.after + 1;
      timeline_.sessions[op.arguments.session].saw_alive(seen, op);
    }
  }

  /// What was never answered is in the log, or did nothing.
  void follow_course() {
    std::erase_if(commands_, [&](KeyCommand& command) {
      const auto at = course_->writes.find(command.first->line);
      if (command.told != nullptr) return false;
      if (at == course_->writes.end()) return true;
      if (at->second.revision != 0) take_course(command, at->second);
      return false;
    });
  }

  void take_course(KeyCommand& command, const Course::Write& write) {
    command.revision = command.window.until = write.revision;
    command.otherwise = write.otherwise;
    for (const std::string& path : write.created) name_made(command, path);
    if (command.revision > command.window.after) return;
    broken(known_.stale(*command.first, "is in the log at revision " + text(command.revision)));
  }

  // ------------------------------------------------------------------ what reads tell of writes

  void learn(const Operation& op) {
    for (const SeenKey& seen : op.answer.keys) {
      if (seen.owner != 0) timeline_.sessions[seen.owner].saw_alive(op.revision, op);
      if (seen.create_revision > seen.modify_revision || seen.modify_revision > op.revision) {
        broken(name_of(op) + " shows " + seen.path + " created at revision " +
               text(seen.create_revision) + " and written at " + text(seen.modify_revision) +
               " in the state of revision " + text(op.revision));
      }
      name_write(seen, !op.arguments.stat_only);
    }
  }

  /// A write that was never answered may show up in a read: then its revision is known.
  void name_write(const SeenKey& seen, bool valued) {
    const auto known = revisions_.find(seen.modify_revision);
    if (known != revisions_.end()) return name_made(commands_[known->second], seen.path);
    size_t only = kNobody;
    for (const size_t i : unanswered_) {
      const KeyCommand& command = commands_[i];
      if (command.revision != 0 || command.window.after >= seen.modify_revision ||
          (!may_have_made(command, command.asked().writes, seen, valued) &&
           !may_have_made(command, command.asked().otherwise, seen, valued))) {
        continue;
      }
      if (only != kNobody) return;
      only = i;
    }
    if (only == kNobody) return;
    commands_[only].revision = seen.modify_revision;
    commands_[only].otherwise =
        !may_have_made(commands_[only], commands_[only].asked().writes, seen, valued);
    revisions_.emplace(seen.modify_revision, only);
    name_made(commands_[only], seen.path);
  }

  static void name_made(KeyCommand& command, const std::string& path) {
    const bool numbered = std::ranges::any_of(command.asked().writes, [&](const KeyWrite& write) {
      return write.sequential && is_numbered(path, write.path);
    });
    if (numbered && command.told == nullptr && command.made.empty()) command.made = path;
  }

  static bool may_have_made(const KeyCommand& command, const std::vector<KeyWrite>& steps,
                            const SeenKey& seen, bool valued) {
    return std::ranges::any_of(steps, [&](const KeyWrite& write) {
      const bool same_path =
          write.sequential ? is_numbered(seen.path, write.path) : seen.path == write.path;
      const bool same_owner = write.act == KeyAct::kPut ||
                              seen.owner == (write.ephemeral ? command.asked().session : 0);
      return write.act != KeyAct::kRemove && same_path && same_owner &&
             (!valued || seen.value == write.value);
    });
  }

  void judge_revisions() {
    std::map<uint64_t, const KeyCommand*> entries;
    for (const KeyCommand& command : commands_) {
      if (command.revision == 0) continue;
      const auto [at, fresh] = entries.emplace(command.revision, &command);
      if (fresh) continue;
      broken("revision " + text(command.revision) + " was given to " + name_of(*command.first) +
             " and to " + name_of(*at->second->first));
    }
  }

  /// Numbers of one parent go up, whatever the names (docs/keys.md).
  void judge_numbers() {
    std::map<std::string, std::map<uint64_t, std::string>> made;
    for (const KeyCommand& command : commands_) {
      if (command.revision == 0) continue;
      for (const std::string& path : command.paths()) {
        const bool numbered = std::ranges::any_of(command.asked().writes, [&](const KeyWrite& w) {
          return w.sequential && is_numbered(path, w.path);
        });
        if (numbered) made[parent_of(path)][command.revision] = path;
      }
    }
    for (const auto& [parent, keys] : made) {
      std::string before;
      for (const auto& [revision, path] : keys) {
        const std::string number = path.substr(path.size() - kNumberDigits);
        if (number <= before) {
          std::string why = path;
          why += " of revision " + text(revision) + " has a number that is not greater than ";
          broken(why + before + " before it");
        }
        before = number;
      }
    }
  }

  // ---------------------------------------------------------------------------- components

  size_t root(size_t path) {
    while (parents_[path] != path) path = parents_[path] = parents_[parents_[path]];
    return path;
  }

  size_t number_of(const std::string& path) {
    const auto [at, fresh] = numbers_.emplace(path, numbers_.size());
    if (fresh) parents_.push_back(at->second);
    return at->second;
  }

  /// Keys that one command names, and those below a subtree that it removes, are judged together.
  void tie() {
    for (const KeyCommand& command : commands_) {
      const std::vector<std::string> paths = command.paths();
      for (const std::string& path : paths) {
        const size_t first = number_of(paths.front());
        parents_[root(number_of(path))] = root(first);
      }
    }
    find_parents();
    tie_below_parents();
    for (const auto& [path, number] : numbers_) {
      if (groups_.emplace(root(number), groups_.size()).second) timeline_.keys.emplace_back();
    }
    for (const std::string& parent : judged_) group_of(parent).parents.insert(parent);
    lives_.resize(numbers_.size());
    for (const auto& [path, number] : numbers_) children_[parent_of(path)].push_back(path);
    for (KeyCommand& command : commands_) {
      const std::vector<std::string> paths = command.paths();
      for (const std::string& path : paths) {
        Life& life = lives_[numbers_.at(path)];
        if (command.revision != 0) life.changes.push_back(command.revision);
        life.loose = life.loose || (command.revision == 0 && !command.refused());
      }
      if (!paths.empty()) group_of(paths.front()).commands.push_back(std::move(command));
    }
    for (Life& life : lives_) std::ranges::sort(life.changes);
  }

  /// Of a key that is removed, or that is a container or has a TTL, it matters what is below it; of
  /// one that others name, too, if it may have been made along with a key below it.
  void find_parents() {
    for (const KeyCommand& command : commands_) {
      for (const auto* list : {&command.asked().writes, &command.asked().otherwise}) {
        for (size_t i = 0; i < list->size(); ++i) {
          const KeyWrite& write = (*list)[i];
          const std::string path = command.path_of(write, i);
          const bool ends = write.act == KeyAct::kRemove || write.container || write.ttl_ms > 0;
          if (ends && !path.empty()) judged_.insert(path);
          if (write.make_parents) find_made_along(write.path);
        }
      }
    }
    for (KeyCommand& command : commands_) hide_children(command);
  }

  void find_made_along(const std::string& path) {
    for (std::string above = parent_of(path); above != "/"; above = parent_of(above)) {
      if (numbers_.contains(above)) judged_.insert(above);
    }
  }

  /// Children whose names nobody was told count too.
  void hide_children(KeyCommand& command) {
    const size_t first = command.paths().size();
    command.hides = std::ranges::any_of(command.asked().writes, [&](const KeyWrite& write) {
      return write.sequential && has_judged_above(write.path);
    });
    const std::vector<std::string> paths = command.paths();
    if (!command.hides || command.refused() || paths.size() == first) return;
    for (const std::string& path : paths) {
      parents_[root(number_of(path))] = root(number_of(paths.front()));
    }
  }

  bool has_judged_above(std::string path) const {
    while (path != "/") {
      path = parent_of(path);
      if (judged_.contains(path)) return true;
    }
    return false;
  }

  void tie_below_parents() {
    for (const auto& [path, number] : numbers_) {
      for (std::string above = path; above != "/";) {
        above = parent_of(above);
        if (judged_.contains(above)) parents_[root(number)] = root(numbers_.at(above));
      }
    }
  }

  KeyHistory& group_of(const std::string& path) {
    return timeline_.keys[groups_.at(root(numbers_.at(path)))];
  }

  // --------------------------------------------------------------------------------- reads

  void place_reads(const Operation& op) {
    const Window when = known_.window(op);
    if (const auto why = known_.stale_read(op, when)) return broken(*why);
    std::map<std::string, const SeenKey*> shown;
    for (const SeenKey& seen : op.answer.keys) shown[seen.path] = &seen;
    for (const std::string& path : wanted(op)) {
      const auto at = shown.find(path);
      place_read({&op, path, at == shown.end() ? nullptr : at->second});
    }
    for (const auto& [path, seen] : shown) {
      if (!numbers_.contains(path) && !is_parent(path)) {
        broken(name_of(op) + " shows " + path + ", which nobody has written");
      }
    }
  }

  /// Of reads that show the same, with no change between them, the first and the last say all.
  void place_read(const KeyRead& read) {
    std::vector<KeyRead>& reads = group_of(read.path).reads;
    Life& life = lives_[numbers_.at(read.path)];
    const auto changes = static_cast<size_t>(
        std::ranges::upper_bound(life.changes, read.op->revision) - life.changes.begin());
    const bool same = life.last != kNobody && life.changes_at_last == changes &&
                      shows_same(reads[life.last], read) && !life.loose;
    if (same && life.repeated) {
      reads[life.last] = read;
      return;
    }
    life.repeated = same;
    life.changes_at_last = changes;
    life.last = reads.size();
    reads.push_back(read);
  }

  static bool shows_same(const KeyRead& one, const KeyRead& other) {
    if (one.op->arguments.stat_only != other.op->arguments.stat_only) return false;
    if (one.seen == nullptr || other.seen == nullptr) return one.seen == other.seen;
    return *one.seen == *other.seen;
  }

  /// The keys of which a read says something, as far as anybody has written them.
  std::vector<std::string> wanted(const Operation& op) const {
    std::vector<std::string> paths;
    if (op.call == Call::kGet) paths = {op.arguments.path};
    if (op.call == Call::kGetMany) paths = op.arguments.paths;
    std::erase_if(paths, [&](const std::string& path) { return !numbers_.contains(path); });
    if (op.call != Call::kListKeys) return paths;
    add_listed(op, paths);
    // What they are called there nobody knows.
    std::erase_if(paths,
                  [](const std::string& path) { return path.find(kHidden) != std::string::npos; });
    return paths;
  }

  void add_listed(const Operation& op, std::vector<std::string>& paths) const {
    if (op.arguments.subtree) {
      for (const auto& [path, number] : numbers_) {
        if (is_below(path, op.arguments.path)) paths.push_back(path);
      }
    } else if (const auto at = children_.find(op.arguments.path); at != children_.end()) {
      paths = at->second;
    }
    std::erase_if(paths, [&](const std::string& path) { return !is_on_page(op, path); });
  }

  /// Behind the last path of the page before, up to the last of this one (docs/keys.md, Order of
  /// lists).
  static bool is_on_page(const Operation& op, const std::string& path) {
    const std::string &from = op.arguments.page, &to = op.answer.next_page;
    return (from.empty() || comes_before(from, path)) && (to.empty() || !comes_before(to, path));
  }

  /// By segments: as if '/' were smaller than every other byte.
  static bool comes_before(const std::string& one, const std::string& other) {
    return std::ranges::lexicographical_compare(one, other, {}, segment_byte, segment_byte);
  }

  static int segment_byte(char c) { return c == '/' ? -1 : static_cast<unsigned char>(c); }

  /// Made along with a key below it.
  bool is_parent(const std::string& path) const {
    return std::ranges::any_of(numbers_,
                               [&](const auto& known) { return is_below(known.first, path); });
  }

  const std::vector<Operation>& operations_;
  const Course* const course_;
  const Known& known_;
  Timeline& timeline_;
  std::vector<KeyCommand> commands_;
  std::map<std::pair<uint64_t, uint64_t>, size_t> by_sequence_;
  std::vector<size_t> unanswered_;
  std::map<uint64_t, size_t> revisions_;  ///< of entries that are known, their commands
  std::map<std::string, size_t> numbers_;
  std::vector<size_t> parents_;   ///< of the tree of ties
  std::set<std::string> judged_;  ///< KeyHistory::parents of all
  std::map<size_t, size_t> groups_;
  std::map<std::string, std::vector<std::string>> children_;
  /// What is known of one key, while its reads are placed in order of revision.
  struct Life {
    std::vector<uint64_t> changes;  ///< by commands
    bool loose = false;             ///< by commands of which nobody knows when
    size_t last = kNobody;          ///< its last read
    bool repeated = false;          ///< which shows what the one before showed
    size_t changes_at_last = 0;
  };
  std::vector<Life> lives_;
};

}  // namespace

void Session::saw_alive(uint64_t revision, const Operation& witness) {
  if (alive_witness != nullptr && alive_at >= revision) return;
  alive_at = revision;
  alive_witness = &witness;
}

bool KeyCommand::asks_lock() const {
  return std::ranges::any_of(asked().compares,
                             [](const KeyCompare& each) { return each.target == Target::kHolds; });
}

std::string KeyCommand::path_of(const KeyWrite& write, size_t step) const {
  if (!write.sequential) return write.path;
  if (refused()) return "";
  if (told != nullptr && step < told->answer.results.size()) {
    return told->answer.results[step].path;
  }
  if (!made.empty() || !hides) return made;
  return write.path + kHidden + text(first->line) + "." + text(step);
}

std::vector<std::string> KeyCommand::paths() const {
  std::vector<std::string> all;
  for (const KeyCompare& compare : asked().compares) {
    if (compare.target != Target::kHolds) all.push_back(compare.path);
  }
  for (const auto* list : {&asked().writes, &asked().otherwise}) {
    for (size_t i = 0; i < list->size(); ++i) all.push_back(path_of((*list)[i], i));
  }
  std::erase(all, "");
  return all;
}

void place_keys(const std::vector<Operation>& operations, const Course* course, const Known& known,
                Timeline& timeline) {
  KeyLayout(operations, course, known, timeline).run();
}

std::vector<Operation> guards_of(const Operation& op) {
  const Answer& answer = op.answer;
  const bool done = answer.known && answer.error.empty();
  const bool not_held = answer.known && answer.error == "NOT_HELD";
  std::map<std::string, Operation> guards;
  const auto add = [&](const std::string& lock, uint64_t holder, bool held) {
    Operation guard = {.client = op.client, .process = op.process, .call = Call::kGuard};
    guard.arguments.session = op.arguments.session;
    guard.arguments.sequence = op.arguments.sequence;
    guard.arguments.path = lock;
    guard.arguments.holder_id = holder;
    guard.invoked = op.invoked;
    guard.returned = op.returned;
    guard.line = op.line;
    guard.answer.known = true;
    guard.answer.error = held ? "" : "NOT_HELD";
    guard.answer.write_revision = held ? answer.write_revision : 0;
    guard.revision = held ? answer.write_revision : op.revision;
    guards.emplace(lock, guard);
  };
  if (!writes_keys(op.call) || op.arguments.session == 0 || (!done && !not_held)) return {};
  for (const KeyCompare& compare : op.arguments.compares) {
    const bool alone = op.arguments.compares.size() == 1;
    if (compare.target != Target::kHolds || !done || (!answer.succeeded && !alone)) continue;
    add(compare.path, static_cast<uint64_t>(compare.number), answer.succeeded);
    guards.at(compare.path).revision = answer.write_revision;
    guards.at(compare.path).answer.write_revision = answer.write_revision;
  }
  const auto& taken = done && !answer.succeeded ? op.arguments.otherwise : op.arguments.writes;
  for (const KeyWrite& write : taken) {
    // Of several guards a refusal does not say which.
    if (!write.guard_path.empty() && (done || taken.size() == 1)) {
      add(write.guard_path, write.guard_holder, done);
    }
  }
  std::vector<Operation> all;
  for (auto& [lock, guard] : guards) all.push_back(std::move(guard));
  return all;
}

}  // namespace holdfast::history
