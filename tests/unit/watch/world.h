// The world that the tests of watches see: every entry kept for ever, the state after each of them,
// and deliveries as plain data. Written as plainly as can be; it is what the room is judged by.
#pragma once

#include <array>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "coordinator/watch/paths.h"
#include "coordinator/watch/watches.h"

namespace holdfast::watch {

struct Change {
  Space space = Space::kKeys;
  EventType type = EventType::kChanged;
  std::string path;
  std::string payload;
  friend bool operator==(const Change&, const Change&) = default;
};

struct TreeOrder {
  bool operator()(const std::string& a, const std::string& b) const { return tree_less(a, b); }
};
using Objects = std::map<std::string, std::string, TreeOrder>;
/// Objects by space: keys, locks.
using Objects2 = std::array<Objects, 2>;
inline size_t number_of(Space space) { return space == Space::kKeys ? 0 : 1; }

inline bool removes(EventType type) {
  return type == EventType::kRemoved || type == EventType::kTenureEnded;
}
inline void apply(const Change& change, Objects2& objects) {
  Objects& of_space = objects[number_of(change.space)];
  if (removes(change.type)) {
    of_space.erase(change.path);
  } else {
    of_space[change.path] = change.payload;
  }
}

inline bool selects(const WatchSpec& spec, Space space, const std::string& path) {
  return (spec.spaces & static_cast<uint8_t>(space)) != 0 && in_scope(path, spec.path, spec.scope);
}
inline bool selects(const WatchSpec& spec, const Change& change) {
  return selects(spec, change.space, change.path) && (spec.types & bit(change.type)) != 0;
}
inline Objects2 selected(const WatchSpec& spec, const Objects2& all) {
  Objects2 out;
  for (const Space space : {Space::kKeys, Space::kLocks}) {
    for (const auto& [path, payload] : all[number_of(space)]) {
      if (selects(spec, space, path)) out[number_of(space)][path] = payload;
    }
  }
  return out;
}

/// Index 0 is the start: no entry, no object.
class World final : public Walk {
 public:
  uint64_t last() const { return entries.size() - 1; }

  /// Applies an entry here and appends it to `watches`.
  void append(Watches& watches, std::vector<Change> changes) {
    states.push_back(states.back());
    std::vector<NewEvent> events;
    for (const Change& change : changes) {
      apply(change, states.back());
      events.push_back({change.space, change.type, true, change.path, change.payload});
    }
    entries.push_back(std::move(changes));
    watches.append(Revision(last()), events);
  }

  /// The matching changes of one entry.
  std::vector<Change> group(const WatchSpec& spec, uint64_t revision) const {
    std::vector<Change> out;
    for (const Change& change : entries[revision]) {
      if (selects(spec, change)) out.push_back(change);
    }
    return out;
  }
  /// The first revision after `revision` with matching changes; 0 if there is none.
  uint64_t next_group(const WatchSpec& spec, uint64_t revision) const {
    for (uint64_t at = revision + 1; at <= last(); ++at) {
      if (!group(spec, at).empty()) return at;
    }
    return 0;
  }

  bool next(const WalkRange& range, size_t max, std::vector<WalkItem>& out) override {
    for (const auto& [path, payload] : states.back()[number_of(range.space)]) {
      const bool after = range.after.empty() || tree_less(range.after, path);
      if (!after || !in_scope(path, range.path, range.scope)) continue;
      if (out.size() == max) return false;
      out.push_back({path, payload, path.size() + payload.size()});
    }
    return true;
  }

  std::vector<std::vector<Change>> entries{1};
  std::vector<Objects2> states{1};
};

enum class Kind : uint8_t { kGroup, kBegin, kItem, kEnd };

/// One line of a delivery.
struct Line {
  Kind kind = Kind::kGroup;
  uint64_t watch = 0;
  uint64_t revision = 0;
  bool complete = true;
  std::vector<Change> changes;  ///< of a group; of an item the object
  friend bool operator==(const Line&, const Line&) = default;
};

using Lines = std::vector<Line>;

inline void PrintTo(const Change& change, std::ostream* out) {
  *out << static_cast<int>(change.space) << '/' << static_cast<int>(change.type) << ' '
       << change.path << '=' << change.payload;
}
inline void PrintTo(const Line& line, std::ostream* out) {
  *out << (line.complete ? "" : "part of ") << static_cast<int>(line.kind) << " to " << line.watch
       << " at " << line.revision << ' ';
  for (const Change& change : line.changes) {
    PrintTo(change, out);
    *out << "; ";
  }
}

class Recorder final : public Sink {
 public:
  explicit Recorder(History& history, size_t protocol = 0)
      : history_(history), protocol_(protocol) {}

  size_t size_of(const Event& event, bool with_value) override {
    return encoding(event, with_value).size();
  }
  void begin_group(WatchId watch, Revision revision) override {
    lines.push_back({Kind::kGroup, watch.value, revision.value, true, {}});
  }
  void add(const Event& event, bool with_value) override {
    const std::string bytes(encoding(event, with_value).view());
    const size_t equals = bytes.find('=');
    lines.back().changes.push_back({event.space, event.type, bytes.substr(0, equals),
                                    equals == std::string::npos ? "" : bytes.substr(equals + 1)});
  }
  void end_group(bool complete) override { lines.back().complete = complete; }
  void resync_begin(WatchId watch, Revision revision) override {
    lines.push_back({Kind::kBegin, watch.value, revision.value, true, {}});
  }
  void snapshot_item(WatchId watch, Space space, const WalkItem& item) override {
    lines.push_back(
        {Kind::kItem,
         watch.value,
         0,
         true,
         {{space, EventType::kCreated, std::string(item.path), std::string(item.payload)}}});
  }
  void resync_end(WatchId watch, Revision revision) override {
    lines.push_back({Kind::kEnd, watch.value, revision.value, true, {}});
  }

  Lines lines;

 private:
  const Blob& encoding(const Event& event, bool with_value) {
    return history_.encoded(event, protocol_, with_value,
                            [](const Event& e, bool value, std::string& out) {
                              out.append(e.path());
                              if (value) out.append("=").append(e.payload());
                            });
  }

  History& history_;
  size_t protocol_;
};

}  // namespace holdfast::watch
