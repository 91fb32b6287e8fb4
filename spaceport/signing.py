"""How S3's addresses are signed for those who are not signed in to AWS: browsers, and whoever has a link."""

from __future__ import annotations

from botocore.config import Config

# botocore's own choice is no good here. Its older signature is refused in new regions. So is its address
# without the region in it, `BUCKET.s3.amazonaws.com`: where a region is of after March 2019 S3 answers 400
# for ever, elsewhere 307 until a new bucket's name has spread, and there the signature fits no more, for it
# is of the host (S3 User Guide, "Request routing"; boto3's issues 2187 and 3015).
FOR_BROWSERS = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
