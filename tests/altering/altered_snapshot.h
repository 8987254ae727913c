// Makes a stored state another one that is whole in itself: every check of the file, of its rows
// and of the state agrees, and only the other servers can tell. What a flipped bit in memory or a
// bug of apply would leave; for tests of what servers make of that. Not while a server uses it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/rows.h"
#include "coordinator/snapshot/store.h"

namespace holdfast::altering {

/// The row that stands in place of this one, which must decode; none: it stays.
using RowChange =
    std::function<std::optional<std::string>(RowTable table, uint64_t id, std::string_view row)>;

/// Changes the first row that `change` answers for. False: it answered for none.
Result<bool> alter(snapshot::SnapshotStore& store, const RowChange& change);

/// In the first row that has the bytes `from`, puts `to` there, which are as many.
RowChange replacing(const std::string& from, const std::string& to);

}  // namespace holdfast::altering
