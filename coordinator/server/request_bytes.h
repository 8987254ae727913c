// What a request takes in memory while it waits, about: so that what waits has a bound in bytes.
#pragma once

#include <cstddef>

#include "gen/cpp/holdfast_types.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::server {

size_t bytes_of(const api::RequestContext& context);

size_t bytes_of(const api::PollRequest& request);
size_t bytes_of(const api::KeepAliveRequest& request);
size_t bytes_of(const api::CloseSessionRequest& request);
size_t bytes_of(const api::AcquireRequest& request);
size_t bytes_of(const api::CancelAcquireRequest& request);
size_t bytes_of(const api::AcquireAllRequest& request);
size_t bytes_of(const api::ReleaseRequest& request);
size_t bytes_of(const api::ReleaseAllRequest& request);
size_t bytes_of(const api::SetHolderValueRequest& request);
size_t bytes_of(const api::RevokeLockRequest& request);
size_t bytes_of(const api::PutRequest& request);
size_t bytes_of(const api::CreateRequest& request);
size_t bytes_of(const api::RemoveRequest& request);
size_t bytes_of(const api::TransactRequest& request);
size_t bytes_of(const api::WatchRequest& request);
size_t bytes_of(const api::UnwatchRequest& request);

}  // namespace holdfast::server
