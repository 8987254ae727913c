// The keys as the committed history says they are, told event by event and judged as it goes: each
// event fits what was there (I15), what a session owns goes with it (I12), and the tree holds what
// the events say. Written from docs/keys.md, not from the tree: a map of paths, and a list of all
// that ever happened, which watches and reads are held against (I19, I20).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/rsm/effects.h"
#include "coordinator/tree/key_tree.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::sim {

/// The order of keys: a key before what is below it, that before whatever else follows.
struct TreeOrder {
  bool operator()(const std::string& a, const std::string& b) const;
};

/// Is `path` strictly below `top`? And is it a child of it?
bool is_below(const std::string& path, const std::string& top);
bool is_child(const std::string& path, const std::string& top);
std::string parent_of(const std::string& path);

class KeyHistory {
 public:
  /// A key, as it was from a revision on.
  struct Version {
    int64_t from = 0;
    bool present = false;
    api::KeyKind::type kind = api::KeyKind::PERSISTENT;
    int64_t version = 0;
    int64_t create_revision = 0;
    int64_t modify_revision = 0;
    int64_t owner = 0;
    std::string value;
    int64_t child_count = 0;
    int64_t children_version = 0;
    int64_t children_revision = 0;
  };
  /// All that an entry did, to keys first, then to locks, as a watch of everything is told.
  struct Entry {
    int64_t revision = 0;
    std::vector<api::WatchEvent> events;
  };

  KeyHistory();

  /// An entry was applied; `tree` is what came of it.
  void take(int64_t revision, std::span<const tree::Event> keys, const rsm::Effects& effects,
            const tree::KeyTree& tree);
  /// The whole tree is what the events made of it. Throws Broken (I15).
  void recount(const tree::KeyTree& tree, const std::set<int64_t>& live_sessions) const;

  /// The key as it was when `revision` had been applied.
  const Version& at(const std::string& path, int64_t revision) const;
  /// The keys that were there then, in order: all below `top`, or its children.
  std::vector<std::string> below(const std::string& top, bool children, int64_t revision) const;
  /// Entries with events after `revision`, in order.
  std::span<const Entry> after(int64_t revision) const;
  /// Of one entry; null if nothing happened in it.
  const Entry* entry(int64_t revision) const;
  int64_t last() const { return last_; }

  /// A read showed this at that revision. Throws Broken (I20).
  void judge_read(const std::string& who, const std::string& path, bool found,
                  const api::KeyEntry& key, int64_t revision) const;

 private:
  void take_key(const tree::Event& event);
  void take_lock(const rsm::Effect& effect);
  void create(const tree::Event& event, Version& key);
  void change(const tree::Event& event, Version& key);
  void remove(const tree::Event& event, Version& key);
  void count_child(const std::string& parent, int change);
  Version& edit(const std::string& path);
  void check_present(const std::string& path, const tree::KeyTree& tree) const;
  [[noreturn]] void refuse(const std::string& path, const std::string& what) const;

  int64_t last_ = 0;
  std::map<std::string, std::vector<Version>, TreeOrder> keys_;
  std::map<int64_t, std::set<std::string>> owned_;  ///< by session
  std::vector<Entry> entries_;                      ///< those with events
  int64_t present_ = 0;
  int64_t bytes_ = 0;  ///< of names and values
};

}  // namespace holdfast::sim
