#include "coordinator/server/request_bytes.h"

#include <string>
#include <vector>

namespace holdfast::server {
namespace {

/// What a list takes of which each item is as large as any.
template <class T>
size_t list_bytes(const std::vector<T>& list) {
  return list.size() * sizeof(T);
}

/// What lies outside of the struct itself, as `list_bytes` counts that.
size_t outside(const api::PutRequest& put) {
  return put.path.size() + put.value.size() + put.guard.path.size();
}
size_t outside(const api::CreateRequest& create) {
  return create.path.size() + create.value.size() + create.guard.path.size();
}
size_t outside(const api::RemoveRequest& remove) {
  return remove.path.size() + remove.guard.path.size();
}

size_t bytes_of(const std::vector<api::Operation>& operations) {
  size_t bytes = list_bytes(operations);
  for (const api::Operation& operation : operations) {
    bytes += outside(operation.put) + outside(operation.create) + outside(operation.remove);
  }
  return bytes;
}

}  // namespace

size_t bytes_of(const api::RequestContext& context) {
  return sizeof context + context.sessionSecret.size() + list_bytes(context.acknowledged) +
         context.trace.size() + context.credentials.principal.size() +
         context.credentials.proof.size();
}

size_t bytes_of(const api::PollRequest& request) {
  return sizeof request + list_bytes(request.acknowledgedNotices);
}

size_t bytes_of(const api::KeepAliveRequest& request) { return sizeof request; }
size_t bytes_of(const api::CloseSessionRequest& request) { return sizeof request; }

size_t bytes_of(const api::AcquireRequest& request) {
  return sizeof request + request.path.size() + request.value.size() + request.owner.size();
}

size_t bytes_of(const api::CancelAcquireRequest& request) {
  return sizeof request + request.path.size();
}

size_t bytes_of(const api::AcquireAllRequest& request) {
  size_t bytes =
      sizeof request + list_bytes(request.locks) + request.value.size() + request.owner.size();
  for (const api::LockWanted& wanted : request.locks) bytes += wanted.path.size();
  return bytes;
}

size_t bytes_of(const api::ReleaseRequest& request) { return sizeof request + request.path.size(); }
size_t bytes_of(const api::ReleaseAllRequest& request) { return sizeof request; }

size_t bytes_of(const api::SetHolderValueRequest& request) {
  return sizeof request + request.path.size() + request.value.size();
}

size_t bytes_of(const api::RevokeLockRequest& request) {
  return sizeof request + request.path.size() + request.reason.size();
}

size_t bytes_of(const api::PutRequest& request) { return sizeof request + outside(request); }
size_t bytes_of(const api::CreateRequest& request) { return sizeof request + outside(request); }
size_t bytes_of(const api::RemoveRequest& request) { return sizeof request + outside(request); }

size_t bytes_of(const api::TransactRequest& request) {
  size_t bytes = sizeof request + list_bytes(request.compares);
  for (const api::Compare& compare : request.compares) {
    bytes += compare.path.size() + compare.value.size();
  }
  return bytes + bytes_of(request.thenOperations) + bytes_of(request.otherwiseOperations);
}

size_t bytes_of(const api::WatchRequest& request) {
  return sizeof request + request.path.size() + list_bytes(request.filter);
}

size_t bytes_of(const api::UnwatchRequest& request) { return sizeof request; }

}  // namespace holdfast::server
