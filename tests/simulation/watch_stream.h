// One watch as its client sees it: takes up what servers tell of it and holds all of it against the
// committed history (I19). Written from docs/watches.md: every event that matches, in order, once,
// an entry at a time; or a marked resynchronisation that ends with the state at its revision.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gen/cpp/keys_types.h"
#include "tests/simulation/history.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

/// What is watched.
struct WatchSpec {
  std::string path;
  api::WatchScope::type scope = api::WatchScope::NODE;
  api::WatchSpace::type space = api::WatchSpace::KEYS;
  bool values = false;
  std::vector<api::EventType::type> filter;  ///< empty: all
};

/// Keys and locks that a watch sees, as its client has them.
struct WatchView {
  std::map<std::string, api::WatchEvent, TreeOrder> keys;              ///< as a snapshot shows them
  std::map<std::string, std::set<std::pair<int64_t, int64_t>>> locks;  ///< token and holder id
  friend bool operator==(const WatchView&, const WatchView&) = default;
};

/// Within one reply: over all watches by revision, of one revision by the order of registration.
/// `live` are those that are not being resynchronised. Throws Broken (I19).
void check_order(const std::string& who, const std::vector<api::WatchDelivery>& deliveries,
                 std::set<int64_t> live);

class WatchStream {
 public:
  WatchStream(World& world, const History& history, std::string name, WatchSpec spec,
              int64_t since);

  const WatchSpec& spec() const { return spec_; }
  /// A server has it now. `revision`: what happens after it is told.
  void registered(int64_t revision);
  bool begun() const { return begun_; }
  /// With this it is registered elsewhere; zero: from now on.
  int64_t position() const { return position_; }
  bool resyncing() const { return building_.has_value(); }
  /// It is to be registered anew: what is not whole is told again.
  void restart();

  /// The next delivery, in a reply of that revision by a server whose history reached back to
  /// `floor`. Throws Broken (I19).
  void take(const api::WatchDelivery& delivery, int64_t revision, int64_t floor);
  /// Everything up to `progress` has been told.
  void progressed(int64_t progress, int64_t revision);

 private:
  bool in_scope(const std::string& path) const;
  bool in_space(const api::WatchEvent& event) const;
  /// A filter by type does not hold within a resynchronisation.
  enum class Types { kWanted, kAll };
  bool matches(const api::WatchEvent& event, Types types = Types::kWanted) const;
  std::vector<api::WatchEvent> matching(const KeyHistory::Entry& entry,
                                        Types types = Types::kWanted) const;
  std::vector<api::WatchEvent> matching(int64_t revision, Types types = Types::kWanted) const;
  void check_nothing_between(int64_t after, int64_t before) const;
  WatchView state_at(int64_t revision) const;
  void add_keys(int64_t revision, WatchView& view) const;
  void add_locks(int64_t revision, WatchView& view) const;
  void apply(const api::WatchEvent& event, int64_t revision, WatchView& view) const;

  void take_group(const api::WatchDelivery& delivery);
  void take_whole(int64_t revision);
  void begin_resync(int64_t revision, int64_t floor);
  void take_items(const api::WatchDelivery& delivery);
  void take_passed(const api::WatchDelivery& delivery);
  void end_resync(int64_t revision);
  void mark_group(const std::vector<api::WatchEvent>& events) const;
  bool walked(const api::WatchEvent& event) const;
  [[noreturn]] void refuse(int64_t revision, const std::string& what) const;

  World& world_;
  const History& history_;
  const std::string name_;
  const WatchSpec spec_;
  int64_t position_;
  bool begun_ = false;
  std::optional<WatchView> view_;  ///< none: the watch does not show all, or not from its beginning

  std::vector<api::WatchEvent> parts_;
  int64_t parts_of_ = 0;

  std::optional<WatchView> building_;
  int64_t began_ = 0;                                   ///< revision of RESYNC_BEGIN
  int64_t dealt_ = 0;                                   ///< newest revision told since
  std::optional<std::pair<bool, std::string>> walker_;  ///< last item: is a lock, path
};

}  // namespace holdfast::sim
