#include <troupe/store/postgres_uri.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::store {
namespace {

/// What is wrong with it; empty if nothing is.
std::string trouble(std::string_view uri) {
  const auto checked = check_postgres_uri(uri);
  if (checked)
    return "";
  EXPECT_EQ(checked.error().code, Errc::invalid_argument);
  return checked.error().what;
}

TEST(PostgresUri, ServersOnThisMachineNeedNoEncryption) {
  for (const char* const uri :
       {"postgresql://localhost/troupe", "postgres://u@127.0.0.1:5433/troupe",
        "postgresql://u@[::1]:5432/troupe?application_name=x",
        "postgresql://%2Frun%2Fpostgresql/troupe",
        "postgresql:///troupe?host=/run/postgresql&port=5433",
        "postgresql://u@/troupe?host=/a,/b", "postgresql://localhost,127.1.2.3",
        // A tunnel: the name is what the certificate would have to say.
        "postgresql://u@db.example/troupe?hostaddr=127.0.0.1"})
    EXPECT_EQ(trouble(uri), "") << uri;
}

TEST(PostgresUri, ServersOnOtherMachinesNeedACertificateThatIsTheirs) {
  for (const char* const uri :
       {"postgresql://u@db.example/troupe", "postgresql://10.0.0.1/troupe",
        "postgresql://u@db.example/troupe?sslmode=require",
        "postgresql://u@db.example/troupe?sslmode=verify-full&sslmode=prefer",
        "postgresql://localhost,db.example/troupe",
        "postgresql://localhost/troupe?host=db.example",
        "postgresql://localhost/troupe?hostaddr=10.0.0.1",
        "postgresql://127.0.0.1.example/troupe",
        "postgresql://[2001:db8::1]/troupe"})
    EXPECT_NE(trouble(uri).find(" is another machine"), std::string::npos)
        << uri << ": " << trouble(uri);
  EXPECT_EQ(trouble("postgresql://u@db.example/troupe?sslmode=verify-full&"
                    "sslrootcert=/etc/ca.pem&target_session_attrs=read-write"),
            "");
  EXPECT_EQ(trouble("postgresql://a,b/troupe?sslmode=verify-full"), "");
}

TEST(PostgresUri, SaysWhatToDoAboutAnotherMachine) {
  EXPECT_EQ(trouble("postgresql://u@db.example/troupe"),
            "db.example is another machine, and what it says becomes commands "
            "on this one: add ?sslmode=verify-full, and sslrootcert=FILE "
            "unless ~/.postgresql/root.crt has the certificate of its "
            "authority");
}

TEST(PostgresUri, RefusesPasswordsWithoutRepeatingThem) {
  for (const char* const uri :
       {"postgresql://u:secret@localhost/troupe",
        "postgresql://u:secret@db.example/troupe",
        "postgresql://localhost/troupe?password=secret",
        "postgresql://localhost/troupe?sslpassword=secret"}) {
    EXPECT_NE(trouble(uri).find("store-password-file"), std::string::npos);
    EXPECT_EQ(trouble(uri).find("secret"), std::string::npos);
  }
  for (const char* const uri :
       {"u:secret@localhost/troupe", "postgresql://u:s/ecret@localhost/troupe",
        "postgresql://localhost/troupe?passwort=secret"}) {
    EXPECT_NE(trouble(uri), "");
    EXPECT_EQ(trouble(uri).find("secret"), std::string::npos) << trouble(uri);
  }
}

TEST(PostgresUri, TellsOfSchemesThatItDoesNotKnow) {
  EXPECT_EQ(trouble("postgresq://localhost/troupe"),
            "unknown scheme \"postgresq\"; did you mean \"postgresql\"?");
  EXPECT_EQ(trouble("mysql://localhost/troupe"),
            "unknown scheme \"mysql\"; expected "
            "postgresql://user@host/database; without a place, jobs are kept "
            "in a file in the folder of the node");
  EXPECT_EQ(trouble("/var/lib/troupe.db"),
            "expected a place such as postgresql://user@host/database");
  EXPECT_EQ(trouble(""),
            "expected a place such as postgresql://user@host/database");
}

TEST(PostgresUri, TellsOfParametersThatItDoesNotKnow) {
  EXPECT_EQ(trouble("postgresql://localhost/troupe?ssl_mode=verify-full"),
            "unknown parameter \"ssl_mode\"; did you mean \"sslmode\"?");
  EXPECT_EQ(trouble("postgresql://localhost/troupe?service=other"),
            "unknown parameter \"service\"");
  EXPECT_EQ(trouble("postgresql://localhost/troupe?port"),
            "expected a value: port=..");
}

TEST(PostgresUri, NeedsTheNameOfAServer) {
  for (const char* const uri :
       {"postgresql:///troupe", "postgresql://u@/troupe", "postgresql://",
        "postgresql://localhost,/troupe"})
    EXPECT_EQ(trouble(uri),
              "expected the name of a server, as in "
              "postgresql://user@host/database, or ?host=/run/postgresql for "
              "the socket of one on this machine")
        << uri;
}

TEST(PostgresUri, TellsOfWhatIsMalformed) {
  for (const char* const uri :
       {"postgresql://local%zzhost/troupe", "postgresql://localhost%2",
        "postgresql://localhost/troupe?host=%00/x"})
    EXPECT_EQ(trouble(uri),
              "a % has to be followed by two hexadecimal digits; % itself is "
              "%25");
  EXPECT_EQ(trouble("postgresql://[::1/troupe"),
            "an address that begins with [ ends with ]");
}

}  // namespace
}  // namespace troupe::store
