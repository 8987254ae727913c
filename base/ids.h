// Strong integer types for every identity and position that Holdfast counts with. A Term is never
// passed where a LogIndex is meant; arithmetic exists only where it has a meaning.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace holdfast {

/// An identity: comparable and hashable, no arithmetic. Zero means "none".
template <class Tag>
struct Id {
  uint64_t value = 0;

  constexpr Id() = default;
  constexpr explicit Id(uint64_t v) : value(v) {}
  constexpr explicit operator bool() const { return value != 0; }
  friend constexpr auto operator<=>(Id, Id) = default;
  friend std::ostream& operator<<(std::ostream& out, Id id) { return out << id.value; }
};

/// A position in an order: an Id that can also be stepped and subtracted. Zero is before the first.
template <class Tag>
struct Ordinal {
  uint64_t value = 0;

  constexpr Ordinal() = default;
  constexpr explicit Ordinal(uint64_t v) : value(v) {}
  constexpr explicit operator bool() const { return value != 0; }
  constexpr Ordinal& operator++() {
    ++value;
    return *this;
  }
  constexpr Ordinal next() const { return Ordinal(value + 1); }
  /// The position before this one; of zero, zero.
  constexpr Ordinal prev() const { return Ordinal(value == 0 ? 0 : value - 1); }
  friend constexpr auto operator<=>(Ordinal, Ordinal) = default;
  friend constexpr Ordinal operator+(Ordinal a, uint64_t n) { return Ordinal(a.value + n); }
  friend constexpr Ordinal operator-(Ordinal a, uint64_t n) { return Ordinal(a.value - n); }
  friend constexpr uint64_t operator-(Ordinal a, Ordinal b) { return a.value - b.value; }
  friend std::ostream& operator<<(std::ostream& out, Ordinal o) { return out << o.value; }
};

/// Raft term (Raft paper, section 5.1).
using Term = Ordinal<struct TermTag>;
/// Index of a log entry; the first entry has index 1 (Raft paper, figure 3.1).
using LogIndex = Ordinal<struct LogIndexTag>;
/// Index of the committed entry that made a change: the one global order of PROMISES.
/// Fencing tokens, holder ids, session ids and watch positions are revisions.
using Revision = LogIndex;
/// A command's number within its session, chosen by the client, from 1 on.
using Sequence = Ordinal<struct SequenceTag>;

/// A server of the cluster; never reused after a member was removed.
using NodeId = Id<struct NodeIdTag>;
/// A Raft group; group 1 is the only one hosted today.
using GroupId = Id<struct GroupIdTag>;
/// Random identity of a cluster, minted once at bootstrap, below 2^53.
using ClusterId = Id<struct ClusterIdTag>;
/// Random identity of a data directory, minted when it is first used, below 2^53.
using StoreId = Id<struct StoreIdTag>;
/// A session's id is the revision of the entry that opened it.
using SessionId = Revision;

inline constexpr GroupId kDefaultGroup{1};

}  // namespace holdfast

template <class Tag>
struct std::hash<holdfast::Id<Tag>> {
  size_t operator()(holdfast::Id<Tag> id) const noexcept { return std::hash<uint64_t>{}(id.value); }
};
template <class Tag>
struct std::hash<holdfast::Ordinal<Tag>> {
  size_t operator()(holdfast::Ordinal<Tag> o) const noexcept {
    return std::hash<uint64_t>{}(o.value);
  }
};
