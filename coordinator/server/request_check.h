// What can be said of a request by itself, whatever the state is: a value that can never be right
// is refused where the call comes in, before it becomes a command or a read. What is judged by the
// state or by the replicated settings is judged there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/server/host.h"

namespace holdfast::server {

/// The largest id, revision or time that crosses the API.
inline constexpr int64_t kNumberMax = (int64_t{1} << 53) - 1;
/// What a caller may say for itself in the server's log.
inline constexpr size_t kTraceBytesMax = 128;

/// Nothing if `value` is within the bounds; else `what` and the value and the bounds are named.
std::optional<Refusal> check_number(std::string_view what, int64_t value, int64_t smallest,
                                    int64_t largest = kNumberMax);

/// The beginning of paths; empty: of all. None that could be one's is refused.
std::optional<Refusal> check_prefix(const std::string& prefix);

/// Of a call of any kind. One that opens a session is not within one: its session fields are
/// ignored.
std::optional<Refusal> check_context(const api::RequestContext& context, bool opens_session);
std::optional<Refusal> check_request(const api::PollRequest& request);

/// It names a session and a sequence as they can be. A command that does may be a copy of one that
/// another server, or one of another version, has taken: what is wrong with this copy is its answer
/// only if no earlier one was applied (Engine::refuse_if_new).
bool may_be_a_copy(const api::RequestContext& context);
/// Of a command within a session, beside check_context().
std::optional<Refusal> check_numbering(const api::RequestContext& context);

/// Of a write of keys, `in_session` or of nobody's: its guards, which the state would merely find
/// not held, and of a transaction both lists of operations, of which the state judges the one that
/// is done.
std::optional<Refusal> check_request(const api::PutRequest& request, bool in_session);
std::optional<Refusal> check_request(const api::CreateRequest& request, bool in_session);
std::optional<Refusal> check_request(const api::RemoveRequest& request, bool in_session);
std::optional<Refusal> check_request(const api::TransactRequest& request, bool in_session);

}  // namespace holdfast::server
