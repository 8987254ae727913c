// Who is interested in what: one Interest for all watches of the same (path, scope, spaces, types),
// found by path. An event is offered to the interests at its own path and at each path above it.
//
// An interest lists once, by position, which events of the history it matches; all its watches read
// that list, each from its own cursor. The list covers (covered_from, last] as far as the history
// reaches; it is read from the history when the interest begins or a watch looks further back.
#pragma once

#include <array>
#include <boost/intrusive/list.hpp>
#include <string>
#include <unordered_map>

#include "base/checksum.h"
#include "coordinator/watch/history.h"
#include "coordinator/watch/paths.h"
#include "coordinator/watch/ring.h"
#include "coordinator/watch/types.h"
#include "coordinator/watch/watch.h"

namespace holdfast::watch {

/// What makes two watches share an interest.
struct InterestKey {
  std::string_view path;
  Scope scope = Scope::kNode;
  uint8_t spaces = kBothSpaces;
  uint32_t types = kAllTypes;
};

struct Interest {
  const std::string* path = nullptr;  ///< key of the index
  Scope scope = Scope::kNode;
  uint8_t spaces = kBothSpaces;
  uint32_t types = kAllTypes;
  Ring<uint64_t> positions;
  Revision covered_from;
  Revision newest;            ///< of the events that it ever listed
  Revision lost;              ///< of those that it listed and the history dropped
  Interest* next = nullptr;   ///< at the same path, of the same scope
  WatchesOfInterest watches;  ///< those not yet looked at since `newest` first; see waking.cc
  ListLink link;              ///< in Interests
  ListLink fired_link;        ///< in the queue of those whose watches are not all woken yet

  bool wants(const Event& event) const {
    return (spaces & static_cast<uint8_t>(event.space)) != 0 && (types & bit(event.type)) != 0;
  }
  /// It is at a place that is watched, whatever its type.
  bool sees(const Event& event) const {
    return (spaces & static_cast<uint8_t>(event.space)) != 0 &&
           in_scope(event.path(), *path, scope);
  }
  bool matches(const Event& event) const {
    return wants(event) && in_scope(event.path(), *path, scope);
  }
};

using FiredInterests =
    bi::list<Interest, bi::member_hook<Interest, ListLink, &Interest::fired_link>>;

class Interests {
 public:
  Interests(History& history, uint64_t hash_seed) : history_(history), paths_(0, Hash{hash_seed}) {}
  ~Interests();
  Interests(const Interests&) = delete;
  Interests& operator=(const Interests&) = delete;

  /// Finds or begins the interest, and makes its list cover (since, last].
  Interest* find_or_add(const InterestKey& key, Revision since);
  /// The interest has no watch any more.
  void remove(Interest* interest);

  /// Lists the event at `position` wherever it matches; calls on_match(interest) for each.
  template <class OnMatch>
  void list(uint64_t position, OnMatch&& on_match) {
    Event& event = history_.at(position);
    for_each_match(event, [&](Interest& interest) {
      interest.positions.push_back(position);
      interest.newest = event.revision;
      event.listed = true;
      history_.count_listed(1);
      on_match(interest);
    });
  }
  /// The history drops the event: it leaves all lists.
  void unlist(uint64_t position, const Event& event);

  uint64_t size() const { return all_.size(); }
  const auto& all() const { return all_; }
  /// Every list against the history, event by event; every interest found by its path.
  std::string check_invariants() const;

 private:
  /// First interest at a path, by Scope.
  using AtPath = std::array<Interest*, kScopes>;
  struct Hash {
    using is_transparent = void;
    uint64_t seed = 0;
    size_t operator()(std::string_view path) const { return checksum64(path, seed); }
  };
  using All = bi::list<Interest, bi::member_hook<Interest, ListLink, &Interest::link>>;

  template <class Visit>
  void for_each_match(const Event& event, Visit&& visit) {
    if (all_.empty()) return;
    const std::string_view path = event.path();
    const std::string_view parent = parent_of(path);
    for_each_prefix(path, [&](std::string_view prefix) {
      const auto found = paths_.find(prefix);
      if (found == paths_.end()) return;
      offer(found->second[static_cast<size_t>(Scope::kSubtree)], event, visit);
      if (prefix == parent)
        offer(found->second[static_cast<size_t>(Scope::kChildren)], event, visit);
      if (prefix == path) offer(found->second[static_cast<size_t>(Scope::kNode)], event, visit);
    });
  }
  template <class Visit>
  static void offer(Interest* interest, const Event& event, Visit& visit) {
    for (; interest != nullptr; interest = interest->next) {
      if (interest->wants(event)) visit(*interest);
    }
  }
  void cover(Interest& interest, Revision since);
  void list_older(Interest& interest, uint64_t position);
  std::string check(const Interest& interest) const;

  History& history_;
  std::unordered_map<std::string, AtPath, Hash, std::equal_to<>> paths_;
  All all_;
};

}  // namespace holdfast::watch
