vcl 4.1;

backend it {
	.host = "127.0.0.1";
	.port = "$backend";
	.first_byte_timeout = 120s;
}

sub vcl_recv {
	if (req.url ~ "^/pass") {
		return (pass);
	}
}
