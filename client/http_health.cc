#include "client/http_health.h"

#include <civetweb.h>

#include <algorithm>
#include <array>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attention::client {
namespace {

constexpr int kHttpOk = 200;
constexpr size_t kMostShownBytes = 200;  // of what a server that is not ready says

struct CloseConnection {
  void operator()(mg_connection* connection) const { mg_close_connection(connection); }
};

}  // namespace

absl::Status CheckReady(const std::string& address, absl::Duration timeout) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == address.npos || colon == 0 || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no HOST:PORT, as in 127.0.0.1:9090"));
  }
  std::array<char, 256> why = {};
  const std::string host = address.substr(0, colon);
  const std::unique_ptr<mg_connection, CloseConnection> connection(
      mg_connect_client(host.c_str(), port, /*use_ssl=*/0, why.data(), why.size()));
  if (connection == nullptr) {
    return absl::UnavailableError(absl::StrCat("nobody answers at ", address, ": ", why.data()));
  }
  mg_printf(connection.get(), "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
            address.c_str());
  const auto ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(timeout), 1, INT32_MAX);
  if (mg_get_response(connection.get(), why.data(), why.size(), static_cast<int>(ms)) < 0) {
    return absl::UnavailableError(absl::StrCat("no answer from ", address, ": ", why.data()));
  }
  const int code = mg_get_response_info(connection.get())->status_code;
  if (code == kHttpOk) return absl::OkStatus();
  std::array<char, kMostShownBytes> body = {};
  const int got = mg_read(connection.get(), body.data(), body.size());
  return absl::UnavailableError(
      absl::StrCat(address, " answers ", code, ": ",
                   absl::string_view(body.data(), static_cast<size_t>(std::max(got, 0)))));
}

}  // namespace attention::client
