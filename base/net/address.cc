#include "base/net/address.h"

#include <arpa/inet.h>

#include <charconv>

namespace holdfast::net {

namespace {

Error bad_address(std::string_view text, const std::string& why) {
  // A hostile or mistaken text is shown, but never without bound.
  std::string shown(text.substr(0, 200));
  return Error{ErrorCode::kBadArgument,
               "address \"" + shown + "\": " + why + "; expected host:port or [ipv6]:port"};
}

bool is_ipv6_literal(const std::string& host) {
  in6_addr ignored;
  return inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  if (text.find("://") != std::string_view::npos) {
    return bad_address(text, "this is a URL, and no scheme like http:// belongs here");
  }
  if (text.empty()) return bad_address(text, "host and port are missing");
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_address(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!is_ipv6_literal(std::string(host))) {
      return bad_address(text, "what stands in brackets is no IPv6 address");
    }
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return bad_address(text, "an IPv6 address belongs in brackets");
  }
  if (host.empty()) return bad_address(text, "the host is missing");
  if (host.size() > 255 || host.find_first_of(" \t\r\n,=/") != std::string_view::npos) {
    return bad_address(text, "the host is not a name or an address");
  }
  unsigned value = 0;
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (problem != std::errc() || end != port.data() + port.size() || value > 65'535) {
    return bad_address(text, "the port is not a number from 0 to 65535");
  }
  return Address{std::string(host), static_cast<uint16_t>(value)};
}

std::string to_string(const Address& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  const std::string host = brackets ? "[" + address.host + "]" : address.host;
  return host + ":" + std::to_string(address.port);
}

bool is_wildcard(const Address& address) {
  return address.host == "0.0.0.0" || address.host == "::" || address.host == "*";
}

bool is_loopback(const Address& address) {
  in_addr v4;
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return address.host == "localhost" || address.host == "::1";
}

}  // namespace holdfast::net
