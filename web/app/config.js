// Where the cloud is: `config.json` beside the page, which the deployment writes. It holds no secret.

export const loadConfig = async () => {
  const response = await fetch('config.json', { cache: 'no-cache' });
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  const told = await response.json();
  const absolute = (address) => (address ? new URL(address, location.href).href.replace(/\/+$/, '') : null);
  return {
    apiUrl: absolute(told.apiUrl),
    webSocketUrl: told.webSocketUrl,
    cognitoUrl: absolute(told.cognitoUrl),
    userPoolId: told.userPoolId,
    userPoolClientId: told.userPoolClientId,
    resultsUrl: absolute(told.resultsUrl), // where the data bucket is served; null: results are not on the web
    handsOver: told.handsOver === true, // whether a link may sign in: only where nobody else has an account
    signInHint: told.signInHint ?? '', // how to get in, where there is another way than a password
    preset: told.preset ?? 'balanced', // what is proposed
  };
};

// The web address of an object of the data bucket, named as the row names it; null where it is not served.
export const addressOf = (config, s3Uri) => {
  const key = /^s3:\/\/[^/]+\/(.+)$/.exec(s3Uri ?? '')?.[1];
  if (!key || !config.resultsUrl) return null;
  return `${config.resultsUrl}/${key.split('/').map(encodeURIComponent).join('/')}`;
};

// The same of a file in the job's own folder.
export const addressIn = (config, jobId, path) => addressOf(config, `s3://data/jobs/${jobId}/${path}`);
